#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Objects by the official client of a service. Needs the virtual environment of tests/servers/sdk.

  sdk.py azure|s3 ENDPOINT out PREFIX DIRECTORY   all objects below the prefix, into files
  sdk.py azure|s3 ENDPOINT in PREFIX DIRECTORY    files into objects, which must not be there

of the container or bucket `data`; credentials as for tests/servers/client.py.
"""
import os
import pathlib
import sys


class Azure:
    def __init__(self, endpoint):
        from azure.storage.blob import ContainerClient
        account = endpoint.rsplit("/", 1)[-1]
        self.container = ContainerClient(endpoint, "data", api_version="2021-12-02", credential={
            "account_name": account, "account_key": os.environ["AZURE_STORAGE_KEY"]})

    def put(self, key, data):
        self.container.upload_blob(key, data)

    def get(self, key):
        return self.container.download_blob(key, validate_content=True).readall()

    def keys(self, prefix):
        return [b.name for b in self.container.list_blobs(prefix)]


class S3:
    def __init__(self, endpoint):
        import boto3
        from botocore.config import Config
        self.s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1",
                               config=Config(s3={"addressing_style": "path"}))

    def put(self, key, data):
        self.s3.put_object(Bucket="data", Key=key, Body=data, IfNoneMatch="*")

    def get(self, key):
        return self.s3.get_object(Bucket="data", Key=key, ChecksumMode="ENABLED")["Body"].read()

    def keys(self, prefix):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket="data", Prefix=prefix)
        return [o["Key"] for p in pages for o in p.get("Contents", [])]


def main(kind, endpoint, verb, prefix, directory):
    s = {"azure": Azure, "s3": S3}[kind](endpoint)
    root = pathlib.Path(directory)
    n = 0
    if verb == "out":
        for key in s.keys(prefix + "/"):
            file = root / key.removeprefix(prefix + "/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(s.get(key))
            n += 1
    else:
        for file in (f for f in root.rglob("*") if f.is_file()):
            s.put(f"{prefix}/{file.relative_to(root)}", file.read_bytes())
            n += 1
    if n == 0:
        sys.exit("sdk: there is nothing")


if __name__ == "__main__":
    main(*sys.argv[1:])
