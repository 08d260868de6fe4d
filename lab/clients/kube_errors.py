"""Errors of the Kubernetes client, told in our own. A part of the door :mod:`lab.clients.kube`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from lab.clients.kube_objects import Refused, Unreachable
from lab.errors import ProvisionError


@contextmanager
def converted(what: str) -> Iterator[None]:
    """Turn the client's errors into ours; ``what`` was being done."""
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config import ConfigException
    from kubernetes.dynamic.exceptions import ResourceNotFoundError
    from urllib3.exceptions import HTTPError
    from yaml import YAMLError

    try:
        yield
    except ApiException as error:
        body = str(error.body or "")
        try:
            message = json.loads(body)["message"]
        except (ValueError, KeyError, TypeError):
            message = body.strip() or str(error.reason)
        # Not a status object, but what is said of a path: a kind is discovered a moment before it is served.
        if error.status == 404 and message == "404 page not found":
            raise Unreachable(f"{what}: the API server does not serve it (yet)", details=message) from error
        # A starting API server, or one whose aggregated part is away, answers so for a while. For a
        # moment it does not even know its administrator's role (admission says "forbidden", too, but
        # of the object: that is final).
        no_roles_yet = error.status == 403 and ' is forbidden: User "' in str(message)
        if error.status in {0, 429, 500, 502, 503, 504} or no_roles_yet:
            raise Unreachable(f"{what}: the API server answered {error.status}", details=message) from error
        raise Refused(f"{what} was refused", details=message, status=error.status, body=body) from error
    except ResourceNotFoundError as error:
        raise Unreachable(
            f"{what}: the API server does not know this kind (yet)", details=str(error)
        ) from error
    except (HTTPError, OSError) as error:
        raise Unreachable(f"{what}: no answer from the API server", details=str(error)) from error
    except (ConfigException, YAMLError) as error:
        raise ProvisionError(f"{what}: the kubeconfig cannot be used", details=str(error)) from error
