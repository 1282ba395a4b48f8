#!/usr/bin/env bash
# Tool: oras 0.2.43 (Python package).
# Expected: OrasClient.pull of a tag that names an index gets this platform's content, or raises an error.
# Does: it looks for layers, finds none in an index, and returns an empty list. get_manifest shows the index.
# Output seen:
#   manifest: files ['file.txt']
#   index of it: files [], 1 entry
# Why it matters: a job that pulls an artifact goes on without its files when the artifact's publisher adds a second
# platform or attaches an attestation in an index. It has to check the list that pull returns.

. "$(dirname "$0")/lib/common.bash"
. "$lib/registry.bash"
python oras==0.2.43
cat >finding.py <<'EOF'
import sys
from oras.client import OrasClient

client = OrasClient(insecure=True)
image = sys.argv[1] + "/example/app"
if sys.argv[2] == "push":
    open("file.txt", "w").write("text")
    client.push(target=image + ":file", files=["file.txt"])
else:
    names = lambda tag: [path.rsplit("/", 1)[-1] for path in client.pull(target=image + tag, outdir="out")]
    print("manifest: files", names(":file"))
    count = len(client.get_manifest(image + ":index")["manifests"])
    print(f"index of it: files {names(':index')}, {count} entry")
EOF
venv/bin/python finding.py "$address" push >push.log 2>&1 || missing "$(cat push.log)"
curl --silent -H 'Accept: application/vnd.oci.image.manifest.v1+json' "$registry/manifests/file" >file.json
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"%s","size":%s}]}' \
    "$(digest <file.json)" "$(wc -c <file.json)" | put_document index index
venv/bin/python finding.py "$address" pull 2>pull.log | check
