"""The check of `trio-stt doctor` of a Ray cluster: whether it answers, and whether all nodes have the same versions."""

import platform
from importlib.metadata import version

import msgspec

from trio_stt.errors import EngineUnavailable
from trio_stt.lanes.ray_client import ClusterNode, RayClient, missing_ray
from trio_stt.lanes.remote_actor import RemoteActor


class NodeCheck(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A node of the cluster, or the cluster itself where it does not answer, with one line about it."""

    address: str
    ok: bool
    message: str


def cluster_nodes(address: str | None) -> tuple[NodeCheck, ...]:
    """Compare the versions of Ray, Python and trio-stt on all nodes with those here. Empty without an address."""
    if address is None:
        return ()
    if problem := missing_ray():
        return (NodeCheck(address=address, ok=False, message=problem),)
    client = RayClient(address, RemoteActor)
    try:
        client.connect()
        nodes = client.nodes()
    except EngineUnavailable as error:
        return (NodeCheck(address=address, ok=False, message=str(error)),)
    client.disconnect()
    own = ClusterNode(address="", ray=version("ray"), python=platform.python_version(), trio_stt=version("trio-stt"))
    return tuple(compared(node, own) for node in nodes)


def compared(node: ClusterNode, own: ClusterNode) -> NodeCheck:
    """One node beside this installation. Python may differ in its last number."""
    if node.problem:
        return NodeCheck(address=node.address, ok=False, message=node.problem)
    different = [
        f"{name} {theirs or 'is missing'}, here {ours}"
        for name, theirs, ours in (
            ("Ray", node.ray, own.ray),
            ("Python", *(".".join(each.split(".")[:2]) for each in (node.python, own.python))),
            ("trio-stt", node.trio_stt, own.trio_stt),
        )
        if theirs != ours
    ]
    message = f"Ray {node.ray}, Python {node.python}, trio-stt {node.trio_stt}"
    if different:
        message = f"{'; '.join(different)}: install the same version on all nodes"
    return NodeCheck(address=node.address, ok=not different, message=message)
