#!/usr/bin/env python3
"""Shares and gets through p2pd's control API, with the stubs that are made from its description.

    share_and_get.py share PATH [NAME]     offers a file or directory; prints its magnet link
    share_and_get.py get SOURCE [OUTPUT]   fetches by name, content id or magnet link

The daemon's socket is taken from $P2P_SOCKET. Needs python3-grpcio and python3-protobuf, and the stubs:
README.md beside this file tells where they are. proto/control.proto describes every call.
"""
import os
import sys

try:
    import grpc

    import control_pb2 as pb
    import control_pb2_grpc
except ModuleNotFoundError as missing:
    sys.exit(f"share_and_get.py: there is no Python module {missing.name}: install python3-grpcio and "
             "python3-protobuf, and run ./make_stubs.sh for control_pb2")


def follow(control, transfer):
    """Prints progress until the transfer has ended, and returns it as it is then."""
    request = pb.WatchTransfersRequest(transfer=str(transfer.id), until_end=True)
    for message in control.WatchTransfers(request):
        for transfer in message.transfers:
            state = pb.TransferState.Name(transfer.state).removeprefix("TRANSFER_STATE_").lower()
            print(f"{state}: {transfer.bytes_done} of {transfer.bytes_total} bytes", transfer.error)
        if message.removed_ids:
            sys.exit("the transfer was removed")
    if transfer.state == pb.TRANSFER_STATE_ERROR:
        sys.exit(transfer.error)
    return transfer


def share(control, path, name=""):
    # The daemon's working directory is not ours; a path is bytes, for it may not be UTF-8.
    request = pb.ShareRequest(path=os.fsencode(os.path.abspath(path)), name=name)
    transfer = follow(control, control.Share(request).transfer)
    print("content id:", transfer.content_id)
    print("magnet:", transfer.magnet)


def get(control, source, output=None):
    path = os.fsencode(os.path.abspath(output)) if output else b""
    request = pb.DownloadRequest(source=source, output=path)
    transfer = follow(control, control.Download(request).transfer)
    print("file:", os.fsdecode(transfer.path))
    # DownloadRequest.allow_unverified was not set, but the daemon's configuration may allow it.
    if not transfer.verified:
        sys.exit("it is not verified: its sources have no hashes")
    print("verified: yes")


def main():
    commands = {"share": share, "get": get}
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in commands:
        sys.exit(__doc__)
    socket = os.environ.get("P2P_SOCKET")
    if not socket:
        sys.exit("set P2P_SOCKET to the daemon's socket, for example /run/p2pd/p2pd.sock")
    with grpc.insecure_channel("unix:" + os.path.abspath(socket)) as channel:
        try:
            commands[sys.argv[1]](control_pb2_grpc.ControlStub(channel), *sys.argv[2:])
        except grpc.RpcError as error:
            sys.exit(f"{error.code().name}: {error.details()}")


if __name__ == "__main__":
    main()
