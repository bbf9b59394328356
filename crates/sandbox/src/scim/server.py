"""scim2-server on a port of 127.0.0.1, each tenant below a path of its own, with the habits of other servers on request.

The service itself is scim2-server's; here is who is let in, and what is bent on the way: answers without a body or a
Location, counts that are cut. The credentials are in the file of that name.
"""

import argparse
import base64
import json
import secrets
import sys
from urllib.parse import parse_qsl, urlencode
from wsgiref.simple_server import WSGIRequestHandler, make_server

from scim2_models import ScimProvider
from scim2_server.applications.wsgi import TenantDispatcher, WSGIApplication
from scim2_server.memory import InMemoryStorage
from scim2_server.service import ScimService
from scim2_server.testserver.cli import ThreadingWSGIServer
from scim2_server.utils import (
    load_default_resource_types,
    load_default_schemas,
    load_default_service_provider_config,
)

#: The most resources of a page of a server that cuts counts.
CUT = 7


class Quiet(WSGIRequestHandler):
    """Write no line for each request."""

    def log_message(self, *_):
        pass


def provider(arguments):
    """Describe the service: everything supported, but what is switched off."""
    config = load_default_service_provider_config().model_dump(by_alias=True)
    config["patch"]["supported"] = not arguments.no_patch
    config["etag"]["supported"] = not arguments.no_etag
    if arguments.cursors:
        config["pagination"] = {"cursor": True, "index": True, "defaultPaginationMethod": "index"}
    config = type(load_default_service_provider_config()).model_validate(config)
    schemas, types = load_default_schemas().values(), load_default_resource_types().values()
    return ScimProvider.from_discovery(schemas, types, config=config)


class Door:
    """Let in who has the credentials: a bearer token, a user's, or a token given for a client's."""

    def __init__(self, application, scheme, credentials):
        self.application = application
        self.scheme = scheme
        self.credentials = credentials
        self.tokens = {credentials} if scheme == "bearer" else set()

    def __call__(self, environ, start_response):
        header = environ.get("HTTP_AUTHORIZATION", "")
        kind, _, given = header.partition(" ")
        basic = base64.b64encode(self.credentials.encode()).decode()
        if self.scheme == "client" and environ["PATH_INFO"] == "/token":
            if kind != "Basic" or given != basic:
                return answer(start_response, "401 Unauthorized", {"error": "invalid_client"})
            token = secrets.token_urlsafe()
            self.tokens.add(token)
            body = {"access_token": token, "token_type": "Bearer", "expires_in": 3600}
            return answer(start_response, "200 OK", body)
        if self.scheme == "basic":
            is_known = kind == "Basic" and given == basic
        else:
            is_known = kind == "Bearer" and given in self.tokens
        if not is_known:
            return answer(start_response, "401 Unauthorized", {"status": "401", "detail": "who are you?"})
        return self.application(environ, start_response)


class Terse:
    """Say no more than the RFCs ask for, and less: no bodies after writes, no Location, short pages."""

    def __init__(self, application):
        self.application = application

    def __call__(self, environ, start_response):
        query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        if "count" in query and "filter" not in query:
            query["count"] = str(min(int(query["count"]), CUT))
            environ["QUERY_STRING"] = urlencode(query)
        told = []
        body = list(self.application(environ, lambda status, headers, *_: told.append((status, headers))))
        status, headers = told[-1]
        method = environ["REQUEST_METHOD"]
        if method in ("POST", "PATCH", "PUT") and status.startswith("2"):
            status = "201 Created" if method == "POST" else "204 No Content"
            kept = [("Content-Length", "0")] if method == "POST" else []
            start_response(status, kept)
            return [b""]
        start_response(status, headers)
        return body


def answer(start_response, status, body):
    body = json.dumps(body).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--scheme", choices=["bearer", "basic", "client"], default="bearer")
    parser.add_argument("--cursors", action="store_true")
    parser.add_argument("--no-patch", action="store_true")
    parser.add_argument("--no-etag", action="store_true")
    parser.add_argument("--terse", action="store_true")
    arguments = parser.parse_args()
    with open("credentials", encoding="utf-8") as file:
        credentials = file.read()
    described = provider(arguments)
    service = ScimService(described, secret=secrets.token_urlsafe(32))
    application = TenantDispatcher(lambda _: WSGIApplication(InMemoryStorage(), described, service))
    if arguments.terse:
        application = Terse(application)
    application = Door(application, arguments.scheme, credentials)
    with make_server(
        "127.0.0.1", arguments.port, application, server_class=ThreadingWSGIServer, handler_class=Quiet
    ) as server:
        print(f"serving on port {arguments.port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.exit(0)


if __name__ == "__main__":
    main()
