# SPDX-License-Identifier: Apache-2.0
"""
Takes an image in an OCI layout apart and believes nothing: every digest and size must be right, a
descriptor must be there for every blob, and manifest.json (docker load) must mean the same.

    lib_unpack.py IMAGE.oci.tar ROOT ARCH    unpacks the layers; prints the compressed size
    lib_unpack.py --bill BILL.spdx.json ROOT compares a bill of materials with what is unpacked
"""
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile


def hold(condition, text):
    if not condition:
        sys.exit(text)


def unpack(image, root, arch):
    with tarfile.open(image) as t:
        names = t.getnames()
        hold(names == sorted(names), "entries are not sorted")
        hold(len({m.mtime for m in t}) == 1 and all(m.uid == m.gid == 0 for m in t), "times or owners differ")
        files = {m.name: t.extractfile(m).read() for m in t if m.isfile()}
    used = set()

    def blob(d):
        data = files["blobs/sha256/" + d["digest"].removeprefix("sha256:")]
        used.add("blobs/sha256/" + hashlib.sha256(data).hexdigest())
        hold("sha256:" + hashlib.sha256(data).hexdigest() == d["digest"], f"digest of {d['digest']}")
        hold(len(data) == d["size"], f"size of {d['digest']}")
        return data

    hold(json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}, "oci-layout")
    index = json.loads(files["index.json"])
    hold(index["schemaVersion"] == 2 and len(index["manifests"]) == 1, "index")
    platform = index["manifests"][0]["platform"]
    hold((platform["os"], platform["architecture"]) == ("linux", arch), f"platform {platform}")
    manifest = json.loads(blob(index["manifests"][0]))
    config = json.loads(blob(manifest["config"]))
    hold((config["os"], config["architecture"]) == ("linux", arch), "architecture of the configuration")
    hold(config["config"]["User"] == "65532:65532", "it does not run as nonroot")
    labels = config["config"]["Labels"]
    for label in ("title", "version", "licenses", "created", "description"):
        hold(labels.get("org.opencontainers.image." + label), f"no label {label}")
    layers = [blob(d) for d in manifest["layers"]]
    tars = [gzip.decompress(layer) for layer in layers]
    hold(["sha256:" + hashlib.sha256(t).hexdigest() for t in tars] == config["rootfs"]["diff_ids"], "diff_ids")
    docker = json.loads(files["manifest.json"])[0]
    hold(docker["Config"] == "blobs/sha256/" + manifest["config"]["digest"][7:], "Config of manifest.json")
    hold(docker["Layers"] == ["blobs/sha256/" + d["digest"][7:] for d in manifest["layers"]], "Layers of it")
    hold({f for f in files if f.startswith("blobs/")} == used, "blobs that nothing names")
    for tar in tars:
        with tarfile.open(fileobj=io.BytesIO(tar)) as t:
            hold([m.name for m in t] == sorted(m.name for m in t), "entries of a layer are not sorted")
            t.extractall(root, numeric_owner=True)
    print(sum(len(layer) for layer in layers))


def bill(path, root):
    with open(path, encoding="utf-8") as f:
        b = json.load(f)
    debian = {p["name"]: p for p in b["packages"] if p["SPDXID"].startswith("SPDXRef-Package-")}
    debian.pop("aksdr-programs")
    noted = set(os.listdir(os.path.join(root, "var/lib/dpkg/status.d")))
    hold(set(debian) == noted, f"packages: {sorted(set(debian) ^ noted)}")
    for name, p in debian.items():
        with open(os.path.join(root, "var/lib/dpkg/status.d", name), encoding="utf-8") as f:
            hold(f"\nVersion: {p['versionInfo']}\n" in f.read(), f"version of {name}")
    known = sum(p["licenseDeclared"] != "NOASSERTION" for p in debian.values())
    hold(known >= 10, f"only {known} licences are known")
    for f in b["files"]:
        with open(os.path.join(root, f["fileName"]), "rb") as x:
            data = x.read()
        sums = {c["algorithm"]: c["checksumValue"] for c in f["checksums"]}
        hold(sums["SHA256"] == hashlib.sha256(data).hexdigest(), f"checksum of {f['fileName']}")
    kinds = {r["relationshipType"] for r in b["relationships"]}
    hold({"DESCRIBES", "CONTAINS"} <= kinds, "relationships")
    # Each file is of a package, or told with its checksum.
    told = {f["fileName"][2:] for f in b["files"]}
    hold({f"usr/bin/aksdr-{p}" for p in ("agent", "catalog", "freezer", "restore")} <= told, "programs")


if sys.argv[1] == "--bill":
    bill(*sys.argv[2:])
else:
    unpack(*sys.argv[1:])
