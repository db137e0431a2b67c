"""Prints what a repository of rpms says of its packages, in an order that depends on nothing else."""

import gzip
import os
import re
import sys
import xml.etree.ElementTree as ElementTree


def element(node, indent=""):
    """A line for the element and each one in it."""
    name = re.sub("{.*}", "", node.tag)
    attributes = " ".join(f"{key}={value}" for key, value in sorted(node.attrib.items()))
    line = f"{indent}{name} {attributes} {(node.text or '').strip()}".rstrip()
    lines = sorted(element(child, indent + " ") for child in node if not is_empty(child))
    return "\n".join([line, *lines])


def is_empty(node):
    return len(node) == 0 and not node.attrib and not (node.text or "").strip()


def parse(path):
    document = open(path, "rb").read()
    return ElementTree.fromstring(gzip.decompress(document) if path.endswith(".gz") else document)


repository = sys.argv[1]
namespace = {"": "http://linux.duke.edu/metadata/repo"}
for data in parse(os.path.join(repository, "repodata/repomd.xml")).findall("data", namespace):
    kind = data.get("type")
    if kind not in ("primary", "filelists", "other"):
        continue
    location = os.path.join(repository, data.find("location", namespace).get("href"))
    assert os.path.getsize(location) == int(data.find("size", namespace).text)
    root = parse(location)
    print(kind, root.tag, root.get("packages"), data.find("checksum", namespace).get("type"))
    print("\n".join(sorted(element(package) for package in root)))
