// An OIDC issuer for tests, with GitHub's endpoint for the tokens of a job: what Fulcio, Cosign and a job need of
// both, and no more.
//
//	issuer ADDRESS [URL CERTIFICATE KEY]
//
// With a URL it listens with TLS, and the URL is its name.
//
// GET /.well-known/openid-configuration, /keys: the issuer.
// GET /token?audience=A[&CLAIM=VALUE...]: the token of a job, as ACTIONS_ID_TOKEN_REQUEST_URL returns it, for
// requests with `Authorization: bearer test`. A claim in the query replaces the one of the job below; exp and nbf are
// seconds from now.
package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"math/big"
	"net/http"
	"os"
	"strconv"
	"time"
)

func encode(bytes []byte) string { return base64.RawURLEncoding.EncodeToString(bytes) }

func document(value any) string {
	bytes, err := json.Marshal(value)
	if err != nil {
		log.Fatal(err)
	}
	return encode(bytes)
}

func main() {
	if len(os.Args) != 2 && len(os.Args) != 5 {
		log.Fatal("usage: issuer ADDRESS [URL CERTIFICATE KEY]")
	}
	address, url := os.Args[1], "http://"+os.Args[1]
	if len(os.Args) == 5 {
		url = os.Args[2]
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		log.Fatal(err)
	}
	give := func(value func(*http.Request) any) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("content-type", "application/json")
			_ = json.NewEncoder(w).Encode(value(r))
		}
	}
	http.HandleFunc("/.well-known/openid-configuration", give(func(*http.Request) any {
		return map[string]any{
			"issuer": url, "jwks_uri": url + "/keys", "authorization_endpoint": url + "/auth",
			"token_endpoint": url + "/token", "subject_types_supported": []string{"public"},
			"response_types_supported":              []string{"id_token"},
			"id_token_signing_alg_values_supported": []string{"RS256"},
		}
	}))
	http.HandleFunc("/keys", give(func(*http.Request) any {
		return map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": encode(key.N.Bytes()),
			"e": encode(big.NewInt(int64(key.E)).Bytes()),
		}}}
	}))
	token := give(func(r *http.Request) any {
		claims := job(url)
		for name, values := range r.URL.Query() {
			value := values[len(values)-1]
			switch name {
			case "audience":
				claims["aud"] = value
			case "exp", "nbf":
				seconds, _ := strconv.ParseInt(value, 10, 64)
				claims[name] = time.Now().Unix() + seconds
			case "api-version":
			default:
				claims[name] = value
			}
		}
		signed := document(map[string]string{"alg": "RS256", "kid": "1", "typ": "JWT"}) + "." + document(claims)
		digest := sha256.Sum256([]byte(signed))
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
		if err != nil {
			log.Fatal(err)
		}
		log.Print("token for ", claims["job_workflow_ref"], " aud ", claims["aud"])
		return map[string]string{"value": signed + "." + encode(signature)}
	})
	http.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "bearer test" {
			http.Error(w, "not this job", http.StatusUnauthorized)
			return
		}
		token(w, r)
	})
	fmt.Println("issuer on", url)
	if len(os.Args) == 5 {
		log.Fatal(http.ListenAndServeTLS(address, os.Args[3], os.Args[4], nil))
	}
	log.Fatal(http.ListenAndServe(address, nil))
}

// A job of `release.yml` of example/gateway for the tag v0.1.0: the claims of GitHub's own tokens.
func job(issuer string) map[string]any {
	const repository, ref, sha = "example/gateway", "refs/tags/v0.1.0", "1111111111111111111111111111111111111111"
	const workflow = repository + "/.github/workflows/release.yml@" + ref
	now := time.Now().Unix()
	return map[string]any{
		"iss": issuer, "sub": "repo:" + repository + ":ref:" + ref, "aud": "https://github.com/example",
		"iat": now, "nbf": now - 5, "exp": now + 300, "jti": strconv.FormatInt(time.Now().UnixNano(), 36),
		"actor": "octocat", "actor_id": "1", "event_name": "push", "base_ref": "", "head_ref": "",
		"job_workflow_ref": workflow, "job_workflow_sha": sha, "workflow_ref": workflow, "workflow_sha": sha,
		"workflow": "release", "ref": ref, "ref_type": "tag", "ref_protected": "true", "sha": sha,
		"repository": repository, "repository_id": "2", "repository_owner": "example",
		"repository_owner_id": "3", "repository_visibility": "public", "run_id": "4", "run_number": "5",
		"run_attempt": "1", "runner_environment": "github-hosted",
	}
}
