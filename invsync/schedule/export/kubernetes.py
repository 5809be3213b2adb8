"""The schedule as Kubernetes documents: a CronJob for each job, a Deployment for what runs all the time.

The configuration is a ConfigMap, the secrets are a Secret, and the data is a volume claim, all named `invsync`.
"""

import json

from invsync.schedule.export.plan import Plan, Service, Task, unit_name

MAX_CRON_JOB_NAME, MAX_LABEL = 52, 63  # characters
FOLDER, CONFIG = "/var/lib/invsync", "/etc/invsync/invsync.toml"
Node = dict[str, object]


def files(plan: Plan) -> dict[str, str]:
    """Return one stream of documents in JSON, which is YAML too."""
    nodes = [_cron_job(plan, task) for task in plan.tasks]
    for service in plan.services:
        nodes.append(_deployment(plan, service))
        nodes += [_service(service)] if service.port else []
    return {"kubernetes.yaml": "".join(f"---\n{json.dumps(node, indent=2)}\n" for node in nodes)}


def _cron_job(plan: Plan, task: Task) -> Node:
    pod = _pod(plan, task.arguments) | {"restartPolicy": "Never"}
    job = {"backoffLimit": 0, "ttlSecondsAfterFinished": 86_400, "template": {"spec": pod}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": _metadata(unit_name(task, limit=MAX_CRON_JOB_NAME)),
        "spec": {
            "schedule": task.cron,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "jobTemplate": {"spec": job},
        },
    }


def _deployment(plan: Plan, service: Service) -> Node:
    name = unit_name(service, limit=MAX_LABEL)
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
    name = unit_name(service, limit=MAX_LABEL)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(name),
        "spec": {"selector": {"app": name}, "ports": [{"port": service.port, "targetPort": service.port}]},
    }


def _pod(plan: Plan, arguments: tuple[str, ...], port: int | None = None) -> Node:
    """A pod of one container; reports and an SQLite state are on the volume claim."""
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
