#!/usr/bin/python3
"""A libtorrent node for side-by-side measurement, tuned for one fast pair of peers.

lt_node.py make PATH TORRENT [PIECE_KIB] [v1|v2|hybrid]   build a .torrent of a file or directory; prints
                                                          hash_s=SECONDS cpu_s=SECONDS
lt_node.py make-each DIR TORRENTS                         build TORRENTS/NAME for each file of DIR
lt_node.py seed TORRENT DIR LISTEN                        seed until killed; prints "seeding" when ready; TORRENT may
                                                          be a directory of torrents
lt_node.py get  TORRENT DIR LISTEN PEER[,PEER...]         fetch; prints get_s=SECONDS, stays until killed

It needs the system's Python, for which Debian builds the module (python3-libtorrent).
"""

import os
import sys
import time

import libtorrent as lt


def session(listen):
    return lt.session(
        {
            "listen_interfaces": listen,
            "outgoing_interfaces": "",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "enable_incoming_utp": False,
            "enable_outgoing_utp": False,
            "allow_multiple_connections_per_ip": True,
            "alert_mask": lt.alert.category_t.error_notification,
            "in_enc_policy": int(lt.enc_policy.disabled),
            "out_enc_policy": int(lt.enc_policy.disabled),
            "connections_limit": 2000,
            "unchoke_slots_limit": -1,
            "mixed_mode_algorithm": 0,
            "max_out_request_queue": 1500,
            "max_allowed_in_request_queue": 2000,
            "request_queue_time": 3,
            "send_buffer_watermark": 3 << 20,
            "send_buffer_low_watermark": 1 << 20,
            "send_buffer_watermark_factor": 150,
            "aio_threads": 4,
            "hashing_threads": 2,
            "max_queued_disk_bytes": 64 << 20,
            "suggest_mode": 0,
            "torrent_connect_boost": 255,
            "connection_speed": 500,
            "peer_turnover_interval": 3600,
            "no_recheck_incomplete_resume": True,
        }
    )


def make(path, torrent, piece_kib="512", kind="v2"):
    start, cpu_start = time.monotonic(), time.process_time()
    storage = lt.file_storage()
    lt.add_files(storage, path)
    flags = {"v2": lt.create_torrent.v2_only, "v1": lt.create_torrent.v1_only, "hybrid": 0}[kind]
    creator = lt.create_torrent(storage, int(piece_kib) * 1024, flags=flags)
    lt.set_piece_hashes(creator, os.path.dirname(os.path.abspath(path)))
    seconds, cpu = time.monotonic() - start, time.process_time() - cpu_start
    with open(torrent, "wb") as out:
        out.write(lt.bencode(creator.generate()))
    print(f"hash_s={seconds:.3f} cpu_s={cpu:.3f}", flush=True)


def make_each(directory, torrents):
    for name in os.listdir(directory):
        make(os.path.join(directory, name), os.path.join(torrents, name))


def add(ses, torrent, directory, seed):
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(torrent)
    params.save_path = directory
    params.flags &= ~lt.torrent_flags.auto_managed
    params.flags &= ~lt.torrent_flags.paused
    if seed:
        params.flags |= lt.torrent_flags.seed_mode
    return ses.add_torrent(params)


def stay():
    while True:
        time.sleep(1)


def seed(torrent, directory, listen):
    ses = session(listen)
    names = os.listdir(torrent) if os.path.isdir(torrent) else [""]
    for name in names:
        add(ses, os.path.join(torrent, name) if name else torrent, directory, seed=True)
    print("seeding", flush=True)
    stay()


def get(torrent, directory, listen, peers):
    begin = time.monotonic()
    ses = session(listen)
    handle = add(ses, torrent, directory, seed=False)
    for peer in peers.split(","):
        host, port = peer.rsplit(":", 1)
        handle.connect_peer((host, int(port)))
    while not handle.status().is_finished:
        time.sleep(0.01)
    print(f"get_s={time.monotonic() - begin:.3f}", flush=True)
    stay()


if __name__ == "__main__":
    commands = {"make": make, "make-each": make_each, "seed": seed, "get": get}
    if len(sys.argv) < 4 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
