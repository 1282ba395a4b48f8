//! The built-in settings, used if there is no settings file.

use http::Method;

use super::{Action, Route, Settings, parse};

/// Listens on every address at port 8080 and answers with a page of instructions.
pub fn built_in() -> Settings {
    let (mut settings, _) = parse(
        "built-in settings",
        "[[listeners]]\nname = \"web\"\naddress = \"0.0.0.0:8080\"\nmax_body_bytes = \"64KiB\"\n",
    );
    settings.routes.push(Route {
        name: "welcome".to_owned(),
        methods: vec![Method::GET, Method::HEAD],
        action: Action::Welcome,
        ..Route::default()
    });
    settings
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_built_in_settings_listen_where_they_say() {
        let settings = super::built_in();
        let addresses: Vec<String> =
            settings.listeners.iter().map(|listener| listener.address.to_string()).collect();
        assert_eq!(addresses, ["0.0.0.0:8080"]);
        assert_eq!(settings.admin.to_string(), "0.0.0.0:8081");
        assert_eq!(settings.routes.len(), 1);
    }
}
