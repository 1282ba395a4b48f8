# Sourced after registry.bash: cosign 3.1.1 with a key pair, and no transparency log.
if [ "$(dpkg-query -W -f '${Version}' cosign 2>/dev/null)" = 3.1.1-2 ]; then
    cp "$(command -v cosign)" cosign
else
    command -v go >go.log || missing "go is not here"
    GOBIN=$work GOFLAGS=-modcacherw go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.1 2>go.log ||
        missing "$(cat go.log)"
fi
export HOME=$work COSIGN_PASSWORD=password
./cosign generate-key-pair 2>key.log

sign() {
    ./cosign sign --yes --key cosign.key --use-signing-config=false --tlog-upload=false "$1" >sign.log 2>&1
}

# The exit code of the verification, and the error: `verify ARGUMENT...`.
verify() {
    local code=0
    ./cosign verify --key cosign.pub --insecure-ignore-tlog=true "$@" >verify.log 2>&1 || code=$?
    echo "exit code $code$(sed -n 's/^Error: /, /p' verify.log | sed 's/ saved in .*//')"
}
