//! Error bodies of registries and token services.

use serde_json::Value;

use super::refusal::ServerError;
use super::secret::Secret;

/// The message of an error body for display: one line, secrets masked, shortened.
pub(super) fn server_errors(body: &[u8], secrets: &[Secret]) -> Vec<ServerError> {
    let clean = |text: &str| {
        let text = secrets.iter().fold(text.to_owned(), |text, secret| secret.scrub(&text));
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        line.chars().filter(|c| !c.is_control()).take(400).collect::<String>()
    };
    let text = String::from_utf8_lossy(body);
    let plain = |text: &str| match clean(text) {
        empty if empty.is_empty() => Vec::new(),
        message => vec![ServerError { message, ..ServerError::default() }],
    };
    let Ok(json) = serde_json::from_str::<Value>(&text) else {
        // HTML pages add nothing to the status.
        return if text.trim_start().starts_with('<') { Vec::new() } else { plain(&text) };
    };
    let field = |value: &Value, name: &str| match value.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => clean(text),
        Some(other) => clean(&other.to_string()),
    };
    if let Some(errors) = json.get("errors").and_then(Value::as_array) {
        let one = |error| ServerError {
            code: field(error, "code"),
            message: field(error, "message"),
            detail: field(error, "detail"),
        };
        return errors.iter().take(10).map(one).collect();
    }
    // Token services answer in the forms of RFC 6749 or of their makers.
    let names = ["error_description", "message", "details", "detail", "error"];
    let message = names.iter().map(|name| field(&json, name)).find(|text| !text.is_empty());
    message.map_or_else(|| plain(&text), |message| vec![ServerError { message, ..ServerError::default() }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusals_body_is_shown_in_one_line_without_secrets() {
        let secret = Secret::new("hunter2-token");
        let cases = [
            (r#"{"errors":[{"code":"DENIED","message":"no\n hunter2-token"}]}"#, vec!["DENIED: no ***"]),
            (r#"{"errors":[{"code":"DENIED"},{"message":"b"}]}"#, vec!["DENIED", "b"]),
            (r#"{"errors":"x"}"#, vec![r#"{"errors":"x"}"#]),
            (r#"{"details":"incorrect username or password"}"#, vec!["incorrect username or password"]),
            (r#"{"error":"invalid_grant","error_description":"gone"}"#, vec!["gone"]),
            ("toomanyrequests: retry-after: 880.092µs", vec!["toomanyrequests: retry-after: 880.092µs"]),
            ("<html>hunter2-token", vec![]),
            ("\u{1b}[31mred", vec!["[31mred"]),
            ("", vec![]),
        ];
        for (body, expected) in cases {
            let shown: Vec<_> = server_errors(body.as_bytes(), std::slice::from_ref(&secret))
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(shown, expected, "{body}");
        }
        assert_eq!(server_errors("x".repeat(9000).as_bytes(), &[])[0].message.len(), 400);
    }
}
