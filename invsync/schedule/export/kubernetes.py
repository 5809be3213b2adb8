"""For Kubernetes: a CronJob a job, a Deployment for what runs all the time; configuration and secrets by name."""

import json
from typing import Any

from invsync.schedule.export.plan import CHORES, Plan, Service, named, run

CRON_JOB, LABEL = 52, 63  # the most characters of a CronJob's name, and of a label or a Service's name
FOLDER, CONFIG = "/var/lib/invsync", "/etc/invsync/invsync.toml"
Node = dict[str, Any]


def write(plan: Plan) -> dict[str, str]:
    """One stream of documents; JSON is YAML, and is read by kubectl as it is."""
    rows = [(named(entry.shop, entry.job, most=CRON_JOB), entry.cron, run(entry)) for entry in plan.table]
    nodes = [_cron_job(plan, *row) for row in [*rows, *((name, cron, what) for name, _, cron, what in CHORES)]]
    for service in plan.services:
        nodes.append(_deployment(plan, service))
        nodes += [_service(service)] if service.port else []
    return {"kubernetes.yaml": "".join(f"---\n{json.dumps(node, indent=2)}\n" for node in nodes)}


def _cron_job(plan: Plan, name: str, cron: str, arguments: tuple[str, ...]) -> Node:
    job: Node = {"backoffLimit": 0, "ttlSecondsAfterFinished": 86_400, "template": {"spec": _pod(plan, arguments)}}
    job["template"]["spec"]["restartPolicy"] = "Never"
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": _metadata(name),
        "spec": {
            "schedule": cron,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "jobTemplate": {"spec": job},
        },
    }


def _deployment(plan: Plan, service: Service) -> Node:
    name = named(service.shop, service.name, most=LABEL)
    labels = {"app": name}
    pod = _pod(plan, service.arguments, service.port) | {"terminationGracePeriodSeconds": 900}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(name),
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _service(service: Service) -> Node:
    name = named(service.shop, service.name, most=LABEL)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(name),
        "spec": {"selector": {"app": name}, "ports": [{"port": service.port, "targetPort": service.port}]},
    }


def _pod(plan: Plan, arguments: tuple[str, ...], port: int | None = None) -> Node:
    """One container; reports and a SQLite state are on the volume claim `invsync`."""
    listening = ["--host", "0.0.0.0"] if port else []
    container: Node = {
        "name": "invsync",
        "image": plan.image,
        "workingDir": FOLDER,
        "command": plan.command(*arguments, *listening, program="invsync", config=CONFIG),
        "envFrom": [{"secretRef": {"name": "invsync"}}],
        "volumeMounts": [
            {"name": "data", "mountPath": FOLDER},
            {"name": "config", "mountPath": "/etc/invsync", "readOnly": True},
        ],
    }
    if port:
        container["ports"] = [{"containerPort": port}]
        container["readinessProbe"] = {"httpGet": {"path": "/healthz", "port": port}}
    return {
        "containers": [container],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": "invsync"}},
            {"name": "config", "configMap": {"name": "invsync"}},
        ],
    }


def _metadata(name: str) -> Node:
    return {"name": name, "labels": {"app.kubernetes.io/part-of": "invsync"}}
