"""A connector to CSV files: `xavyo.connector.v1.TargetService`, whole, in Python.

xavyo calls, this answers. What each call must do stands in `proto/xavyo/connector/v1/target_service.proto`; here it is done
over the rows of files (`accounts.py`). Read `Target` from the top: each method is one call.
"""

import argparse
import contextlib
import hmac
import logging
import signal
import threading
from concurrent import futures
from dataclasses import replace

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from xavyo.common.v1 import value_pb2
from xavyo.connector.v1 import account_pb2, check_pb2, schema_pb2, target_service_pb2, target_service_pb2_grpc

import accounts

# What a page may hold, and how much of it: the contract allows 1,000 accounts and 1 MiB.
PAGE, PAGE_BYTES = 500, 512 * 1024
FOUND = 100
# What is left over is tried again later: every call of one connector is served at once.
CALLS_AT_ONCE = 16

# Which status tells xavyo what happened, and the code by which people find the failure again.
STATUSES = {
    accounts.Invalid: (code_pb2.INVALID_ARGUMENT, "CSV_INVALID"),
    accounts.Exists: (code_pb2.ALREADY_EXISTS, "CSV_TAKEN"),
    accounts.Missing: (code_pb2.NOT_FOUND, "CSV_NO_ROW"),
    accounts.Stale: (code_pb2.ABORTED, "CSV_CHANGED"),
    accounts.Unusable: (code_pb2.UNAVAILABLE, "CSV_UNUSABLE"),
}


class Target(target_service_pb2_grpc.TargetServiceServicer):
    def __init__(self, folder: accounts.Folder):
        self.folder = folder

    def Describe(self, request, context):
        with answered(context):
            return target_service_pb2.DescribeResponse(
                name="csv-connector 1.0",
                capabilities=schema_pb2.TargetCapabilities(
                    immutable_ids=True, versions=True, disables=True, repeatable_updates=True
                ),
                object_schemas=[schema(name, self._file(name).table()) for name in self.folder.classes()],
            )

    def CheckConnection(self, request, context):
        with answered(context):
            steps = [self._check(name) for name in self.folder.classes()]
            return target_service_pb2.CheckConnectionResponse(steps=steps)

    def ReadAccounts(self, request, context):
        with answered(context):
            table = self._table(request)
            # A page is made when gRPC has room for it: whoever reads slowly slows us down.
            for page in pages(table, request.attributes):
                yield target_service_pb2.ReadAccountsResponse(page=page)
            evidence = f"one reading of the file, {table.size} bytes, to its end"
            yield target_service_pb2.ReadAccountsResponse(
                completeness=target_service_pb2.Completeness(
                    complete=not table.flaws,
                    evidence="; ".join([evidence, *table.flaws[:10]]),
                    count=len(table.by_id),
                    calls_made=1,
                )
            )

    def FindAccounts(self, request, context):
        with answered(context):
            table = self._table(request)
            found = table.find(request.attribute, text(request.value))
            if len(found) > FOUND:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"more than {FOUND} rows match")
            shown = [message(account, request.attributes) for account in found]
            return target_service_pb2.FindAccountsResponse(accounts=shown)

    def GetAccount(self, request, context):
        with answered(context):
            account = self._table(request).get(*key(request))
            shown = message(account, request.attributes) if account else None
            return target_service_pb2.GetAccountResponse(account=shown)

    def CreateAccount(self, request, context):
        with answered(context):
            values = {attribute.name: texts(attribute.values) for attribute in request.attributes}
            enabled = request.enabled if request.HasField("enabled") else True
            made = self._file(request.object_class).create(request.external_uid, enabled, values)
            logging.info("created %s [%s]", made.id, request.tag)
            return target_service_pb2.CreateAccountResponse(account=message(made, []))

    def UpdateAccount(self, request, context):
        def change(account: accounts.Account) -> accounts.Account:
            values = dict(account.values)
            for one in request.changes:
                values[one.name] = changed(values.get(one.name, ()), one)
            return replace(
                account,
                login=request.rename_to if request.HasField("rename_to") else account.login,
                enabled=request.enabled if request.HasField("enabled") else account.enabled,
                values=values,
            )

        with answered(context):
            updated = self._file(request.object_class).update(key(request), change, version(request))
            logging.info("updated %s [%s]", updated.id, request.tag)
            return target_service_pb2.UpdateAccountResponse(account=message(updated, []))

    def DeleteAccount(self, request, context):
        with answered(context):
            self._file(request.object_class).delete(key(request), version(request))
            logging.info("deleted %s [%s]", request.key.external_uid, request.tag)
            return target_service_pb2.DeleteAccountResponse()

    # ReadChanges is not served, and Describe says so: a file does not tell what was changed in it.

    def _file(self, object_class: str) -> accounts.Accounts:
        return self.folder.file(object_class)

    def _check(self, object_class: str) -> check_pb2.CheckStep:
        try:
            table = self._file(object_class).table()
        except accounts.Unusable as error:
            return check_pb2.CheckStep(name=f"read {object_class}", ok=False, detail=str(error))
        read = f"{len(table.by_id)} rows, {len(table.attributes)} attributes"
        detail = "; ".join([read, *table.flaws[:10]])
        return check_pb2.CheckStep(name=f"read {object_class}", ok=not table.flaws, detail=detail)

    def _table(self, request) -> accounts.Table:
        table = self._file(request.object_class).table()
        for attribute in request.attributes:
            table.check(attribute)
        return table


@contextlib.contextmanager
def answered(context):
    """Ends the call with the status of whatever went wrong. Messages never quote a value."""
    try:
        yield
    except tuple(STATUSES) as error:
        code, reason = STATUSES[type(error)]
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="csv-connector"))
        status = status_pb2.Status(code=code, message=str(error), details=[detail])
        context.abort_with_status(rpc_status.to_status(status))


def key(request) -> tuple[str, str | None]:
    return request.key.external_uid, request.key.immutable_id if request.key.HasField("immutable_id") else None


def version(request) -> str | None:
    return request.if_version if request.HasField("if_version") else None


def text(value) -> str:
    """A cell is text: numbers and truths stand there as they are written."""
    kind = value.WhichOneof("kind")
    match kind:
        case "string_value":
            return value.string_value
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "int64_value" | "double_value":
            return str(getattr(value, kind))
        case "timestamp_value":
            return value.timestamp_value.ToJsonString()
        case _:
            raise accounts.Invalid("a cell holds text")


def texts(values) -> tuple[str, ...]:
    """Each value once, in the order given."""
    return tuple(dict.fromkeys(text(value) for value in values))


def changed(before: tuple[str, ...], change) -> tuple[str, ...]:
    """A value that is to be added and is there, or to be removed and is not, is left as it is."""
    if change.WhichOneof("change") == "set":
        return texts(change.set.values)
    removed = set(texts(change.delta.remove))
    kept = [value for value in before if value not in removed]
    return tuple(dict.fromkeys([*kept, *texts(change.delta.add)]))


def message(account: accounts.Account, wanted) -> account_pb2.Account:
    shown = [
        value_pb2.Attribute(
            name=name, values=[value_pb2.Value(string_value=value) for value in account.values[name]]
        )
        for name in wanted
        if name in account.values
    ]
    return account_pb2.Account(
        external_uid=account.login,
        immutable_id=account.id,
        version=account.version,
        enabled=account.enabled,
        attributes=shown,
    )


def pages(table: accounts.Table, wanted):
    page = target_service_pb2.AccountPage()
    size = 0
    for account in table.by_id.values():
        shown = message(account, wanted)
        if page.accounts and (len(page.accounts) == PAGE or size + shown.ByteSize() > PAGE_BYTES):
            yield page
            page, size = target_service_pb2.AccountPage(), 0
        page.accounts.append(shown)
        size += shown.ByteSize()
    if page.accounts:
        yield page


def schema(object_class: str, table: accounts.Table) -> schema_pb2.ObjectSchema:
    attributes = [
        schema_pb2.AttributeSchema(
            name=name,
            type=schema_pb2.ATTRIBUTE_TYPE_STRING,
            multi_valued=many,
            readable=True,
            writable_on_create=True,
            writable_on_update=True,
            searchable=True,
        )
        for name, many in table.attributes.items()
    ]
    return schema_pb2.ObjectSchema(
        object_class=object_class, display_name=object_class, uid_attribute=accounts.LOGIN, attributes=attributes
    )


class Bearer(grpc.ServerInterceptor):
    """Lets in whoever shows the token."""

    def __init__(self, token: str):
        self.expected = f"Bearer {token}".encode()

        def refuse(request, context):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "a bearer token is needed")

        self.refused = grpc.unary_unary_rpc_method_handler(refuse)

    def intercept_service(self, continuation, details):
        shown = dict(details.invocation_metadata).get("authorization", "")
        known = hmac.compare_digest(shown.encode(), self.expected)
        return continuation(details) if known else self.refused


def credentials(arguments) -> grpc.ServerCredentials:
    key, certificate = read(arguments.key), read(arguments.certificate)
    client_ca = read(arguments.client_ca) if arguments.client_ca else None
    return grpc.ssl_server_credentials(
        [(key, certificate)], root_certificates=client_ca, require_client_auth=client_ca is not None
    )


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True, help="holds the files, each a class: account.csv")
    parser.add_argument("--listen", default="[::]:8443", help="host:port; port 0 = any free one")
    parser.add_argument("--certificate", required=True, help="PEM: the certificate that we show")
    parser.add_argument("--key", required=True, help="PEM: its key")
    parser.add_argument("--token-file", required=True, help="holds the token that callers must show")
    parser.add_argument("--client-ca", help="PEM: callers must show a certificate of this authority")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    token = read(arguments.token_file).decode().strip()
    server = grpc.server(futures.ThreadPoolExecutor(CALLS_AT_ONCE), interceptors=[Bearer(token)])
    target = Target(accounts.Folder(arguments.folder))
    target_service_pb2_grpc.add_TargetServiceServicer_to_server(target, server)
    port = server.add_secure_port(arguments.listen, credentials(arguments))
    stop = threading.Event()
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, lambda *_: stop.set())
    server.start()
    logging.info("serving on port %d", port)
    stop.wait()
    # What has begun is finished.
    server.stop(grace=10).wait()


if __name__ == "__main__":
    main()
