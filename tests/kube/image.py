#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes an image for containers from files, as an archive of docker's kind; no engine is needed.

image.py OUT NAME:TAG FILE=PATH... [--links PATH] -- COMMAND...

FILE is put at PATH, with all rights to read and run. With --links the busybox at PATH gets its names
beside it. What links does not resolve is not looked at: FILEs are linked statically.
"""
import hashlib
import io
import json
import subprocess
import sys
import tarfile


def add(archive, name, data, mode=0o755):
    entry = tarfile.TarInfo(name.lstrip("/"))
    entry.size = len(data)
    entry.mode = mode
    archive.addfile(entry, io.BytesIO(data))


def link(archive, name, target):
    entry = tarfile.TarInfo(name.lstrip("/"))
    entry.type = tarfile.SYMTYPE
    entry.linkname = target
    archive.addfile(entry)


def main():
    out, name, *words = sys.argv[1:]
    at = words.index("--")
    words, command = words[:at], words[at + 1:]
    links = None
    if "--links" in words:
        i = words.index("--links")
        links = words[i + 1]
        del words[i:i + 2]

    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        for word in words:
            file, path = word.split("=", 1)
            with open(file, "rb") as f:
                add(archive, path, f.read())
            if path == links:
                listed = subprocess.run([file, "--list"], check=True, capture_output=True, text=True)
                for applet in listed.stdout.split():
                    if applet != "busybox":
                        link(archive, links.rsplit("/", 1)[0] + "/" + applet, links)
        tmp = tarfile.TarInfo("tmp")
        tmp.type, tmp.mode = tarfile.DIRTYPE, 0o1777
        archive.addfile(tmp)
    layer = layer.getvalue()

    layer_hash = hashlib.sha256(layer).hexdigest()
    config = json.dumps({
        "architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": command, "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + layer_hash]},
        "history": [{"created": "1970-01-01T00:00:00Z"}],
    }, sort_keys=True).encode()
    config_hash = hashlib.sha256(config).hexdigest()
    manifest = json.dumps([{
        "Config": config_hash + ".json", "RepoTags": [name], "Layers": [layer_hash + ".tar"],
    }]).encode()
    with tarfile.open(out, "w") as archive:
        add(archive, config_hash + ".json", config, 0o644)
        add(archive, layer_hash + ".tar", layer, 0o644)
        add(archive, "manifest.json", manifest, 0o644)


main()
