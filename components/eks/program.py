"""The program of a stack that makes a cluster alone, for others to use by `clusterStack`."""

from __future__ import annotations

import pulumi

from components.eks.cluster import EksCluster, cluster_sentences
from components.eks.layout import cluster_name
from takeover.settings._eks import EksOptions

__all__ = ["make_cluster"]


def make_cluster(options: EksOptions) -> None:
    """Declare the cluster, and export it as `cluster`."""
    project, stack = pulumi.get_project(), pulumi.get_stack()
    name = cluster_name(project, stack)
    for sentence in cluster_sentences(name, options):
        pulumi.log.info(sentence)
    labels = {"managed-by": "takeover", "project": project, "stack": stack}
    cluster = EksCluster(name, options, labels=labels, protect=options.protect)
    pulumi.export("cluster", cluster.facts.outputs())
