//! Users in the form of htpasswd files.

use super::password::PasswordHash;
use super::passwords::User;

/// Reads users, one a line: `NAME:HASH` or `NAME:HASH:GROUP,GROUP`. Lines that begin with `#` and empty
/// ones say nothing. No message shows a line, which may hold a password by mistake.
pub fn read(shown: &str, text: &str) -> Result<Vec<User>, Vec<String>> {
    let (mut users, mut problems): (Vec<User>, Vec<String>) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match user(line) {
            Ok(user) if users.iter().any(|other| other.name == user.name) => {
                problems
                    .push(format!("line {number} of {shown} has a name that is there before; remove one"));
            }
            Ok(user) => users.push(user),
            Err(problem) => problems.push(format!("line {number} of {shown}: {problem}")),
        }
    }
    if users.is_empty() && problems.is_empty() {
        problems.push(format!("{shown} holds no user, so that no request could pass; add NAME:HASH"));
    }
    if problems.is_empty() { Ok(users) } else { Err(problems) }
}

fn user(line: &str) -> Result<User, &'static str> {
    const FORM: &str =
        "it is not NAME:HASH or NAME:HASH:GROUP,GROUP; make a hash with 'gateway hash-password'";
    let mut parts = line.splitn(3, ':');
    let name = parts.next().unwrap_or_default().trim();
    let hash = parts.next().ok_or(FORM)?.trim();
    if name.is_empty() {
        return Err(FORM);
    }
    let groups = parts.next().unwrap_or_default().split(',').map(str::trim);
    let groups = groups.filter(|group| !group.is_empty()).map(str::to_owned).collect();
    Ok(User { name: name.to_owned(), hash: PasswordHash::parse(hash)?, groups })
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn lines_of_users() {
        let hash = "$2y$04$abcdefghijklmnopqrstuum174eFeoTj0DHmtuueFaS3Wde4P7wHG";
        let users =
            read("f", &format!("# users\r\n\r\nann:{hash}\r\n bob : {hash} : a, b,\n")).expect("users");
        let shown: Vec<_> = users.iter().map(|user| (user.name.as_str(), user.groups.join("+"))).collect();
        assert_eq!(shown, [("ann", String::new()), ("bob", "a+b".to_owned())]);
        let twice = format!("ann:{hash}\nann:{hash}");
        for bad in ["ann", "ann:secret", &format!(":{hash}"), &format!("ann:{hash}x"), &twice, "", "# none\n"]
        {
            let problems = read("f", bad).expect_err(bad);
            assert!(!problems.iter().any(|problem| problem.contains("secret")), "{problems:?}");
        }
    }
}
