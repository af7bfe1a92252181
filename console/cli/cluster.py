"""`kubehaven cluster`: add, list, prepare, check, remove, forget."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from console.cli import output
from console.cli.check import check_cluster
from console.cli.exits import DONE, FAILED
from console.cli.explain import explain_prepare
from console.cli.explain_remove import explain_remove
from console.cli.session import Session, confirmed, no_verb, on_engine
from console.cli.usage import UsageError
from console.engine import ClusterView, UntrustedPrograms

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `cluster`."""
    no_verb(parser)
    verbs = parser.add_subparsers(metavar="VERB")
    add = verbs.add_parser("add", help="remember a kubeconfig's path and context")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--kubeconfig", required=True, type=Path, metavar="FILE")
    add.add_argument("--context", default="", help="a context of the file; default: its current")
    add.add_argument(
        "--trust-programs",
        action="store_true",
        help="run and read the programs and files that the kubeconfig names",
    )
    on_engine(add, _add, cluster=False)
    on_engine(verbs.add_parser("list", help="the clusters"), _list, cluster=False)
    _configure_prepare(verbs.add_parser("prepare", help="put our resources in, after showing each"))
    check = verbs.add_parser("check", help="try out what backups and restores need of a cluster")
    check.add_argument("name", metavar="NAME", nargs="?", default="")
    check.add_argument(
        "--class",
        dest="storage_classes",
        action="append",
        default=[],
        metavar="STORAGECLASS",
        help="only this one; may be said again",
    )
    on_engine(check, check_cluster, cluster=False)
    leftovers = verbs.add_parser(
        "leftovers", help="what actions that are gone have left; an engine takes it away"
    )
    leftovers.add_argument("name", metavar="NAME")
    on_engine(leftovers, _leftovers, cluster=False)
    _configure_remove(verbs.add_parser("remove", help="take our resources out, after showing each"))
    forget = verbs.add_parser("forget", help="forget a cluster here; nothing in it changes")
    forget.add_argument("name", metavar="NAME")
    on_engine(forget, _forget, cluster=False)


def _configure_prepare(prepare: argparse.ArgumentParser) -> None:
    prepare.add_argument("name", metavar="NAME")
    prepare.add_argument(
        "--allow-node-path",
        action="store_true",
        help="let workers read volumes that nothing can snapshot on their pods' nodes",
    )
    how = prepare.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="only show what would be done")
    how.add_argument(
        "--print", action="store_true", help="only print every object, for kubectl apply -f -"
    )
    how.add_argument("--yes", action="store_true", help="do not ask")
    prepare.add_argument("--check", action="store_true", help="then check it, as `cluster check`")
    on_engine(prepare, _prepare, cluster=False)


def _configure_remove(remove: argparse.ArgumentParser) -> None:
    remove.add_argument("name", metavar="NAME")
    remove.add_argument(
        "--retire-local", action="store_true", help="free the data of all local restore points"
    )
    remove.add_argument("--dry-run", action="store_true", help="only show what would be done")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    on_engine(remove, _remove, cluster=False)


async def _add(session: Session) -> int:
    asked = session.arguments
    path = str(asked.kubeconfig.expanduser().absolute())
    try:
        cluster = await session.engine.clusters.add(
            asked.name, path, context=asked.context, trust_programs=asked.trust_programs
        )
    except UntrustedPrograms as error:
        raise _trust_question(session, path, error) from error
    if session.json:
        output.print_json(cluster)
        return DONE
    print(output.visible(f"added {cluster.name}: {cluster.server}, context {cluster.context}"))
    if cluster.insecure:
        print("careful: the kubeconfig says not to verify the server's certificate")
    print(f"next: kubehaven cluster prepare {shlex.quote(cluster.name)}")
    return DONE


def _trust_question(session: Session, path: str, error: UntrustedPrograms) -> UsageError:
    asked = session.arguments
    command = ["kubehaven", "cluster", "add", asked.name, "--kubeconfig", path]
    command += ["--context", asked.context] if asked.context else []
    listed = "".join(f"\n  {output.visible(item)}" for item in error.items)
    return UsageError(
        f"the kubeconfig names programs or files that would be run or read:{listed}",
        hint=f"if you trust each of them: {shlex.join([*command, '--trust-programs'])}",
    )


async def _list(session: Session) -> int:
    clusters = await session.engine.clusters.list()
    if session.json:
        output.print_json(clusters)
        return DONE
    output.print_table(
        ("NAME", "SERVER", "CONTEXT", "KUBECONFIG", "PROBLEM"),
        [(row.name, row.server, row.context, row.kubeconfig, _problem(row)) for row in clusters],
    )
    return DONE


def _problem(row: ClusterView) -> str:
    return row.problem or ("certificate is not verified" if row.insecure else "")


async def _prepare(session: Session) -> int:
    asked = session.arguments
    if asked.check and (session.json or asked.dry_run or asked.print):
        raise UsageError("--check goes with none of --output json, --dry-run and --print")
    if asked.print:
        return await _print(session)
    node_path = asked.allow_node_path
    plan = await session.engine.clusters.plan_prepare(asked.name, allow_node_path=node_path)
    if not session.json:
        print(*explain_prepare(plan), sep="\n")
    if asked.dry_run:
        if session.json:
            output.print_json(plan)
        return DONE
    if any(item.verb in {"create", "update"} for item in plan.objects):
        await confirmed(session, f"prepare {asked.name} like this?")
    done = await session.engine.clusters.prepare(
        asked.name, plan_hash=plan.hash, allow_node_path=node_path
    )
    if session.json:
        output.print_json(done)
        return DONE
    print(f"{asked.name} is prepared")
    if done.recovered:
        print(f"local restore points found again: {len(done.recovered)}")
    if asked.check:
        asked.storage_classes = []
        return await check_cluster(session)
    print(f"next: kubehaven cluster check {shlex.quote(asked.name)}")
    return DONE


async def _print(session: Session) -> int:
    asked = session.arguments
    manifests = await session.engine.clusters.manifests(
        asked.name, allow_node_path=asked.allow_node_path
    )
    if session.json:
        output.print_json({"apiVersion": "v1", "kind": "List", "items": manifests.objects})
        return DONE
    import yaml  # here: only who prints manifests pays for it

    for row in manifests.left_out:
        where = "/".join(part for part in (row.namespace, row.name) if part)
        print(output.visible(f"# left out: {row.resource} {where}: {row.reason}"))
    print(yaml.safe_dump_all(manifests.objects, explicit_start=True, sort_keys=False), end="")
    return DONE


async def _leftovers(session: Session) -> int:
    found = await session.engine.clusters.leftovers(session.arguments.name)
    if session.json:
        output.print_json(found)
    elif found.items:
        output.print_table(
            ("VERB", "RESOURCE", "NAMESPACE", "NAME", "REASON"),
            [(row.verb, row.resource, row.namespace, row.name, row.reason) for row in found.items],
        )
    else:
        print("nothing is left of actions that are gone")
    return DONE


async def _remove(session: Session) -> int:
    asked, clusters = session.arguments, session.engine.clusters
    plan = await clusters.plan_remove(asked.name, retire_local=asked.retire_local)
    if not session.json:
        print(*explain_remove(plan), sep="\n")
    if asked.dry_run:
        if session.json:
            output.print_json(plan)
        return FAILED if plan.blockers else DONE
    if not plan.blockers:
        freed = f" and free {len(plan.retires)} local restore points" if plan.retires else ""
        await confirmed(session, f"take Kubehaven out of {asked.name}{freed}?")
    done = await clusters.remove(asked.name, plan_hash=plan.hash, retire_local=asked.retire_local)
    if session.json:
        output.print_json(done)
        return DONE
    print(output.visible(f"Kubehaven is removed from {asked.name}; what is listed above stays"))
    print(f"to bring it back: kubehaven cluster prepare {shlex.quote(asked.name)}")
    print(f"to forget it here too: kubehaven cluster forget {shlex.quote(asked.name)}")
    return DONE


async def _forget(session: Session) -> int:
    name = session.arguments.name
    await session.engine.clusters.forget(name)
    if session.json:
        output.print_json({"forgotten": name})
    else:
        print(f"{name} is forgotten here; nothing in the cluster changed")
    return DONE
