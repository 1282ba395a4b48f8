// Makes a database for Trivy from facts: what the scanner knows is then what a test says.
//
//	trivy-db OUT UPDATED FILE.yaml…
//
// OUT is Trivy's cache folder, UPDATED the day of the database (2006-01-02), the files are in the
// format of bolt-fixtures, which Trivy's own tests use.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	fixtures "github.com/aquasecurity/bolt-fixtures"
)

func main() {
	if len(os.Args) < 4 {
		fail(fmt.Errorf("usage: trivy-db OUT UPDATED FILE.yaml…"))
	}
	dir := filepath.Join(os.Args[1], "db")
	updated, err := time.Parse("2006-01-02", os.Args[2])
	fail(err)
	fail(os.MkdirAll(dir, 0o755))
	loader, err := fixtures.New(filepath.Join(dir, "trivy.db"), os.Args[3:])
	fail(err)
	fail(loader.Load())
	fail(loader.Close())
	// Version 2 is the schema of trivy-db that Trivy 0.74 asks for.
	metadata, err := json.Marshal(map[string]any{
		"Version": 2, "UpdatedAt": updated, "NextUpdate": updated.AddDate(100, 0, 0), "DownloadedAt": updated,
	})
	fail(err)
	fail(os.WriteFile(filepath.Join(dir, "metadata.json"), metadata, 0o644))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "trivy-db:", err)
		os.Exit(1)
	}
}
