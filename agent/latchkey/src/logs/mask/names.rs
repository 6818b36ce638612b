//! Which names are those of secrets, and which functions take some.

/// How a named value is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Hidden.
    Secret,
    /// Hidden when it is long enough to be one.
    SecretIfLong,
}

/// Words of a name that make it a secret's.
const SECRETS: [&str; 56] = [
    "accesskey",
    "apikey",
    "appkey",
    "auth",
    "authkey",
    "authorization",
    "bearer",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "csrf",
    "csrftoken",
    "hmac",
    "jwt",
    "key",
    "keys",
    "license",
    "licence",
    "mfa",
    "nonce",
    "oauth",
    "otp",
    "pass",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "phpsessid",
    "privatekey",
    "pswd",
    "pwd",
    "salt",
    "secret",
    "secretkey",
    "secrets",
    "sess",
    "sessid",
    "session",
    "sessionid",
    "sid",
    "sig",
    "signature",
    "token",
    "tokens",
    "totp",
    "verifier",
    "wpnonce",
    "xsrf",
    "pw",
    "sso",
    "accesstoken",
    "refreshtoken",
    "authtoken",
    "invite",
];

/// Words that may be a secret's name and mostly are not.
const PERHAPS: [&str; 6] = ["code", "state", "hash", "ticket", "id_token", "checksum"];

/// With one of these before it a key is none.
const INNOCENT_BEFORE_KEY: [&str; 14] = [
    "array",
    "cache",
    "duplicate",
    "foreign",
    "group",
    "index",
    "meta",
    "object",
    "option",
    "order",
    "primary",
    "public",
    "sort",
    "unique",
];

/// Endings of names that are written as one word.
const ENDINGS: [&str; 6] = ["password", "passwd", "secret", "token", "apikey", "nonce"];

/// Cookies of WordPress that sign somebody in.
const SESSION_COOKIES: [&str; 4] = ["wordpress_logged_in", "wordpress_sec", "wp-postpass", "wp_woocommerce_session"];

/// Words of a function's name that make its arguments secret.
const FUNCTIONS: [&str; 30] = [
    "auth",
    "authenticate",
    "bind",
    "connect",
    "pconnect",
    "cookie",
    "setcookie",
    "setrawcookie",
    "credentials",
    "crypt",
    "decrypt",
    "encrypt",
    "hmac",
    "login",
    "logon",
    "mysqlconnect",
    "nonce",
    "pass",
    "passwd",
    "password",
    "secret",
    "sign",
    "signon",
    "signin",
    "token",
    "verify",
    "imap",
    "pkey",
    "key",
    "cookies",
];

/// Classes that are made with a password.
const CLASSES: [&str; 6] = ["pdo", "mysqli", "wpdb", "redis", "smtp", "hyperdb"];

/// What a name says of its value; `None` for one that may be shown.
pub(super) fn kind(name: &str) -> Option<Kind> {
    let lower = name.to_ascii_lowercase();
    if SESSION_COOKIES.iter().any(|cookie| lower.starts_with(cookie)) || is_cookie_of_old(&lower) {
        return Some(Kind::Secret);
    }
    let words = words(name);
    let mut before = "";
    for word in &words {
        let is_innocent = matches!(word.as_str(), "key" | "keys") && INNOCENT_BEFORE_KEY.contains(&before);
        if SECRETS.contains(&word.as_str()) && !is_innocent || ENDINGS.iter().any(|end| word.ends_with(end)) {
            return Some(Kind::Secret);
        }
        before = word;
    }
    words.last().filter(|word| PERHAPS.contains(&word.as_str())).map(|_| Kind::SecretIfLong)
}

/// Whether all of a line behind this name and a colon is its value.
pub(super) fn is_header(name: &str) -> bool {
    ["authorization", "proxy-authorization", "cookie", "set-cookie", "cookies"]
        .iter()
        .any(|header| name.eq_ignore_ascii_case(header))
}

/// Whether a function, with its class as `class->function` or `class::function`, takes passwords or keys.
pub(super) fn takes_secrets(callee: &str) -> bool {
    let (class, function) = callee
        .rsplit_once("->")
        .or_else(|| callee.rsplit_once("::"))
        .unwrap_or_else(|| callee.rsplit_once('\\').unwrap_or(("", callee)));
    let class = class.rsplit(['\\', '>', ':']).next().unwrap_or_default().to_ascii_lowercase();
    words(function)
        .iter()
        .any(|word| FUNCTIONS.contains(&word.as_str()) || ENDINGS.iter().any(|end| word.ends_with(end)))
        || (function == "__construct" && CLASSES.contains(&class.as_str()))
}

/// `wordpress_` and a hash.
fn is_cookie_of_old(lower: &str) -> bool {
    let hash = lower.strip_prefix("wordpress_").unwrap_or_default();
    hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The words of a name in lower case: `dbPassword`, `DB_PASSWORD` and `db-password` are `db` and `password`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let bytes: Vec<u8> = name.bytes().collect();
    for (at, byte) in bytes.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before)).copied().unwrap_or(b'_');
        let behind = bytes.get(at + 1).copied().unwrap_or(b'_');
        let begins = byte.is_ascii_uppercase()
            && (before.is_ascii_lowercase()
                || before.is_ascii_digit()
                || (before.is_ascii_uppercase() && behind.is_ascii_lowercase()));
        if matches!(byte, b'_' | b'-') || begins {
            words.push(String::new());
        }
        if !matches!(byte, b'_' | b'-')
            && let Some(word) = words.last_mut()
        {
            word.push(char::from(byte.to_ascii_lowercase()));
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
