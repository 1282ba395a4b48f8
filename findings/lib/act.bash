# Installs act and makes a repository in the folder `project`; `act EVENT.json` runs its only workflow on this machine.
command -v go >go.log || missing "go is not here"
GOBIN=$work/bin GOFLAGS=-modcacherw go install github.com/nektos/act@v0.2.89 2>go.log || missing "$(cat go.log)"
mkdir -p project/.github/workflows home
git init --quiet --initial-branch main project
git -C project remote add origin https://github.com/example/app
act() { # The lines that steps print.
    git -C project add --all
    git -C project -c user.name=t -c user.email=t@localhost commit --quiet --allow-empty --message all
    (cd project && HOME=$work/home "$work/bin/act" workflow_dispatch --eventpath "$1" \
        --platform ubuntu-24.04=-self-hosted --pull=false --no-cache-server --env-file /dev/null \
        --secret-file /dev/null) >act.log 2>&1 || code=$?
    sed -n 's/^.* | said: //p' act.log
}
