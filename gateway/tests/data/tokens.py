"""Writes tokens.json: a key set, and tokens made by PyJWT with what the gateway must say of each.

python -m venv v && v/bin/pip install 'PyJWT[crypto]==2.10.1' && v/bin/python tokens.py > tokens.json

The private keys are thrown away, so that a new token means a new file.
"""

import base64
import json

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

NOW = 1_700_000_000
FAR = 4_900_000_000

KEYS = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "p521": ec.generate_private_key(ec.SECP521R1()),
    "ed": ed25519.Ed25519PrivateKey.generate(),
}
OTHER = rsa.generate_private_key(65537, 2048)
SMALL = rsa.generate_private_key(65537, 1024)
KIDS = {"RS": "rsa", "PS": "rsa", "ES256": "p256", "ES384": "p384", "ES512": "p521", "EdDSA": "ed"}


def jwk(kid, key, **more):
    public = key.public_key()
    for kind in (jwt.algorithms.RSAAlgorithm, jwt.algorithms.ECAlgorithm, jwt.algorithms.OKPAlgorithm):
        try:
            return {**kind.to_jwk(public, as_dict=True), "kid": kid, **more}
        except Exception:
            continue
    raise ValueError(kid)


def part(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


GOOD = {"iss": "https://id.example", "aud": "api", "sub": "u1", "nbf": NOW, "exp": FAR, "scope": "read write",
        "realm_access": {"roles": ["admin", "dev"]}}
tokens = []


def add(name, expected, token):
    tokens.append({"name": name, "expected": expected, "token": token})


def made(alg="RS256", headers=None, key=None, drop=(), **claims):
    kid = KIDS.get(alg) or KIDS[alg[:2]]
    body = {name: value for name, value in {**GOOD, **claims}.items() if name not in drop}
    return jwt.encode(body, key or KEYS[kid], algorithm=alg, headers={"kid": kid, **(headers or {})})


for alg in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"):
    add(alg, "ok", made(alg))
add("several audiences", "ok", made(aud=["x", "api"]))
add("times with a fraction", "ok", made(exp=FAR + 0.5))
add("without nbf", "ok", made(drop=["nbf"]))
add("without kid", "ok", jwt.encode(GOOD, KEYS["p256"], "ES256"))
add("unknown header", "ok", made(headers={"x": {"y": 1}}))

add("ES512", "token_algorithm", made("ES512"))
add("HS256 with the public key", "token_algorithm",
    jwt.encode(GOOD, "not the key, but the algorithm is what counts here", "HS256", headers={"kid": "rsa"}))
add("none", "token_algorithm", jwt.encode(GOOD, None, "none"))
add("algorithm in lower case", "token_algorithm", part(b'{"alg":"rs256","kid":"rsa"}') + "." + made().split(".", 1)[1])
add("expired", "token_expired", made(exp=NOW))
add("not yet", "token_not_yet_valid", made(nbf=FAR))
add("without exp", "token_without_expiry", made(drop=["exp"]))
add("exp as text", "token_malformed", made(exp=str(FAR)))
add("other issuer", "token_issuer", made(iss="https://evil.example"))
add("without issuer", "token_issuer", made(drop=["iss"]))
add("other audience", "token_audience", made(aud="web"))
add("without audience", "token_audience", made(drop=["aud"]))
add("crit", "token_critical", made(headers={"crit": ["exp"]}))
add("b64 false", "token_critical", made(headers={"crit": ["b64"], "x": 1}))
add("unknown kid", "token_key", made(headers={"kid": "none"}))
add("key of 1024 bits", "token_key", made(key=SMALL, headers={"kid": "small"}))
add("key for encryption", "token_key", made(headers={"kid": "enc"}))
add("other key", "token_signature", made(key=OTHER))
add("key of another kind", "token_signature", made("ES256", headers={"kid": "rsa"}))
add("key for another algorithm", "token_signature", made("RS512", headers={"kid": "only256"}))
head, body, signature = made().split(".")
add("without signature", "token_signature", f"{head}.{body}.")
forged = json.dumps({**GOOD, "sub": "root"}).encode()
add("changed claims", "token_signature", f"{head}.{part(forged)}.{signature}")
add("ECDSA in DER", "token_signature", made("ES256").rsplit(".", 1)[0] + "." + part(
    KEYS["p256"].sign(made("ES256").rsplit(".", 1)[0].encode(), ec.ECDSA(hashes.SHA256()))))
add("two parts", "token_malformed", f"{head}.{body}")
add("four parts", "token_malformed", f"{head}.{body}.{signature}.x")
add("padding", "token_malformed", f"{head}.{body}.{signature}==")
add("no token", "token_malformed", "x")
add("claims are no object", "token_malformed", f"{head}.{part(b'[1]')}.{signature}")
add("header is no JSON", "token_malformed", f"{part(b'{')}.{body}.{signature}")
add("kid is a number", "token_malformed", f"{part(json.dumps({'alg': 'RS256', 'kid': 1}).encode())}.{body}.{signature}")

keys = [jwk(kid, key) for kid, key in KEYS.items()]
keys.append(jwk("small", SMALL))
keys.append(jwk("enc", KEYS["rsa"], use="enc"))
keys.append(jwk("only256", KEYS["rsa"], alg="RS256", use="sig"))
keys.append({"kty": "oct", "kid": "shared", "k": "AAAA"})
keys.append({"kty": "new", "kid": "future"})
print(json.dumps({"jwks": {"keys": keys}, "tokens": tokens}, indent=1))
