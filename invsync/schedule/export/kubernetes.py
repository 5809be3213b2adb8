"""The schedule as Kubernetes documents: a CronJob for each job, a Deployment for what runs all the time.

The configuration is a ConfigMap, the secrets are a Secret, and the data is a volume claim, all named `invsync`.
A pod runs as the image does: as a user without rights, who may write to the data and to /tmp only.
"""

import json

from invsync.schedule.export.plan import Plan, Service, Task, unit_name

MAX_CRON_JOB_NAME, MAX_LABEL = 52, 63  # characters
FOLDER, CONFIG, USER = "/data", "/etc/invsync/invsync.toml", 10001  # as in docs/deploy/Dockerfile
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
    pod = _pod(plan, service.arguments, service) | {"terminationGracePeriodSeconds": 900}
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


def _pod(plan: Plan, arguments: tuple[str, ...], service: Service | None = None) -> Node:
    """A pod of one container; reports and an SQLite state are on the volume claim."""
    listening = ["--host", "0.0.0.0"] if service and service.port else []
    container: Node = {
        "name": "invsync",
        "image": plan.image,
        "workingDir": FOLDER,
        "command": _command(plan, *arguments, *listening),
        "envFrom": [{"secretRef": {"name": "invsync"}}],
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "data", "mountPath": FOLDER},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "config", "mountPath": "/etc/invsync", "readOnly": True},
        ],
    }
    if service:
        container |= _probes(plan, service)
    return _without_rights() | {
        "containers": [container],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": "invsync"}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "config", "configMap": {"name": "invsync"}},
        ],
    }


def _without_rights() -> Node:
    """What keeps a pod from the cluster, and from other users' files."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,  # their variables would begin with INVSYNC_, as our settings do
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _probes(plan: Plan, service: Service) -> Node:
    """How the kubelet sees whether a service works: a receiver answers, a scheduler holds the lease of its shop."""
    if service.port:
        return {
            "ports": [{"containerPort": service.port}],
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": service.port}, "timeoutSeconds": 5},
            "livenessProbe": {"tcpSocket": {"port": service.port}, "periodSeconds": 30},
        }
    health = {"exec": {"command": _command(plan, "schedule", "health", "--shop", service.shop)}, "timeoutSeconds": 20}
    return {
        "startupProbe": health | {"periodSeconds": 10, "failureThreshold": 30},
        "livenessProbe": health | {"periodSeconds": 60, "failureThreshold": 5},
    }


def _command(plan: Plan, *arguments: str) -> list[str]:
    return plan.command(*arguments, program="invsync", config=CONFIG)


def _metadata(name: str) -> Node:
    return {"name": name, "labels": {"app.kubernetes.io/part-of": "invsync"}}
