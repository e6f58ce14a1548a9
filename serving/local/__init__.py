"""The local tier's server: one base, several adapters, the surface of a vLLM server. `python -m serving.local --help`.

__main__, server, state, start   the process: command line, lock, port, server.json, signals, drain
app, guard, errors, protocol     the web side, without torch: it answers while the base is still loading
answering, answers               from a request to rows, and from their pieces to JSON or events
engine, shelf, checks, metrics   a loaded base, its adapters by name, what is counted
scheduler, rows, asks            who is computed, queued, cancelled
decode, cache, lora, load        the model: batches that change at every token, in the hands of one thread
sampling, text                   from logits to a token, from tokens to text
"""
