# Sourced after common.bash: podman 4.3.1 with an empty store in the work folder. It needs root.
[ "$(id -u)" = 0 ] || missing "this script needs root: podman keeps its store in a folder of root"
debian podman=4.3.1+ds1-8+deb12u1+b3 golang-github-containers-image golang-github-containers-common \
    libassuan0 libdevmapper1.02.1 libgpgme11 libseccomp2 libsubid4
export TMPDIR=$work

podman() {
    root/usr/bin/podman --root "$work/store" --runroot "$work/run" --tmpdir "$work/tmp" --storage-driver vfs "$@"
}

# Loads an image: `load PATH`.
load() {
    podman load --signature-policy root/etc/containers/policy.json --quiet -i "$1" 2>&1
}

# Leaves the layout of a small image in the folder $1, and the store empty.
save() {
    echo text >file
    tar -cf file.tar file
    podman import --quiet file.tar a.example/app:1 >import.log 2>&1 || missing "$(cat import.log)"
    podman save --quiet --format oci-dir -o "$1" a.example/app:1 >save.log 2>&1 || missing "$(cat save.log)"
    podman rmi --all --force >rmi.log 2>&1
}
