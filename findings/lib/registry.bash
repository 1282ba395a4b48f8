# Sourced after common.bash: docker-registry 2.8.2 with an empty store, at $registry.
debian docker-registry=2.8.2+ds1-1
cat >registry.yml <<EOF
version: 0.1
log: {accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/data}, delete: {enabled: true}}
http: {addr: "127.0.0.1:0"}
EOF
root/usr/bin/docker-registry serve registry.yml >registry.log 2>&1 &
server=$!
trap 'kill $server; rm -rf "$work"' EXIT
for _ in $(seq 100); do
    address=$(sed -n 's/.*listening on \([0-9.:]*\).*/\1/p' registry.log)
    [ -z "$address" ] || break
    sleep 0.2
done
[ -n "$address" ] || missing "$(cat registry.log)"
registry=http://$address/v2/example/app

digest() { printf 'sha256:%s' "$(sha256sum | cut -d ' ' -f 1)"; }

# The value of a field of the answer on standard input: `field NAME`.
field() { tr -d '\r' | sed -n "s/^$1: //Ip"; }

# Opens an upload and gives its URL.
open_upload() { curl --silent --include --request POST "$registry/blobs/uploads/" | field Location; }

# Puts the blob on standard input and gives its digest.
put_blob() {
    cat >blob
    curl --silent --request PUT --data-binary @blob -H 'Content-Type: application/octet-stream' \
        "$(open_upload)&digest=$(digest <blob)" >>curl.log
    digest <blob
}

# Puts the document on standard input under the tag or digest $1, as the OCI type $2: manifest or index.
put_document() {
    curl --silent --request PUT --data-binary @- -H "Content-Type: application/vnd.oci.image.$2.v1+json" \
        "$registry/manifests/$1" >>curl.log
}

# A manifest with the configuration of the type $1, the digest $2 and the size $3, without layers.
manifest() {
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"%s","digest":"%s","size":%s},"layers":[]}' "$@"
}

# Puts a manifest under the tag $1. Its configuration is the empty JSON object.
put_manifest() {
    manifest application/vnd.oci.empty.v1+json "$(printf '{}' | put_blob)" 2 | put_document "$1" manifest
}

# Puts an image for linux/amd64 and linux/arm64 under the tag $1, and each platform's under its name.
put_image() {
    local arch config entries=
    for arch in amd64 arm64; do
        config='{"architecture":"'$arch'","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
        manifest application/vnd.oci.image.config.v1+json "$(printf %s "$config" | put_blob)" ${#config} >$arch.json
        put_document $arch manifest <$arch.json
        entries+=${entries:+,}'{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"'$(digest <$arch.json)
        entries+='","size":'$(wc -c <$arch.json)',"platform":{"os":"linux","architecture":"'$arch'"}}'
    done
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}' "$entries" |
        put_document "$1" index
}

# Installs crane 0.20.7.
crane_0_20_7() {
    command -v go >go.log || missing "go is not here"
    GOBIN=$work GOFLAGS=-modcacherw go install github.com/google/go-containerregistry/cmd/crane@v0.20.7 2>go.log ||
        missing "$(cat go.log)"
}
