//! What is masked of lines as logs have them, and what stays readable.

use super::masked;

/// Each line with what is to be shown of it.
#[track_caller]
fn check(lines: &[(&str, &str)]) {
    for (line, shown) in lines {
        assert_eq!(masked(line), *shown, "of {line}");
    }
}

#[track_caller]
fn check_shown(lines: &[&str]) {
    for line in lines {
        assert_eq!(masked(line), *line);
    }
}

#[test]
fn values_in_addresses_are_hidden_by_their_names() {
    check(&[
        (
            r#"203.0.113.9 - - [12/Mar/2026:10:00:00 +0000] "GET /wp-login.php?action=rp&key=Kx81jQpm2&login=ada HTTP/1.1" 200 4711 "-" "curl/8.1""#,
            r#"203.0.113.9 - - [12/Mar/2026:10:00:00 +0000] "GET /wp-login.php?action=rp&key=***&login=ada HTTP/1.1" 200 4711 "-" "curl/8.1""#,
        ),
        ("/a?token=abc&x=1", "/a?token=***&x=1"),
        ("/a?x=1&_wpnonce=8f3c1a&y", "/a?x=1&_wpnonce=***&y"),
        ("/a?X-Amz-Signature=0a1b&X-Amz-Date=20260101", "/a?X-Amz-Signature=***&X-Amz-Date=20260101"),
        ("/a?user%5Bpassword%5D=p%40ss&b=2", "/a?user%5Bpassword%5D=***&b=2"),
        ("/a?u=/b%3Ftoken%3Dabc%26c%3D1", "/a?u=/b%3Ftoken%3D***%26c%3D1"),
        ("/a?data[pwd]=x;y&b=2", "/a?data[pwd]=***;y&b=2"),
        ("/?apiKey=1 HTTP", "/?apiKey=*** HTTP"),
        ("/oauth?code=4/0AY0e-g7xxxxxxxxxxxx&scope=a", "/oauth?code=***&scope=a"),
        ("/a?key= HTTP/1.1", "/a?key= HTTP/1.1"),
        ("/a?token&x=1", "/a?token&x=1"),
    ]);
}

#[test]
fn cookies_and_headers_are_hidden_to_their_end() {
    check(&[
        ("Cookie: a=b; c=d", "Cookie: ***"),
        (
            r#"headers: "Authorization: Basic YWRhOmh1bnRlcjI=" from 203.0.113.9"#,
            r#"headers: "Authorization: ***" from 203.0.113.9"#,
        ),
        ("Set-Cookie: PHPSESSID=abc; path=/", "Set-Cookie: ***"),
        ("x; wordpress_logged_in_0123=ada%7C1700000000%7Cabc; y=1", "x; wordpress_logged_in_0123=***; y=1"),
        ("wordpress_sec_0123=ada|1|x; z", "wordpress_sec_0123=***; z"),
        ("wordpress_0123456789abcdef0123456789abcdef=ada|1; z", "***=***; z"),
        ("PHPSESSID=q1w2e3; wp-settings-1=editor", "PHPSESSID=***; wp-settings-1=editor"),
        ("curl -H 'X-Api-Key: abc' https://example.org", "curl -H 'X-Api-Key: ***' https://example.org"),
        ("sent Bearer abc.def-123 to", "sent Bearer *** to"),
        ("Authorization=Bearer abcdefgh rest", "Authorization=*** rest"),
    ]);
}

#[test]
fn arguments_of_what_takes_passwords_are_hidden_in_traces() {
    check(&[
        (
            "#0 /x/db.php(12): mysqli_real_connect('localhost', 'user', 'pass')",
            "#0 /x/db.php(12): mysqli_real_connect(***)",
        ),
        (
            "#1 /x/db.php(9): mysqli_real_connect(Object(mysqli), 'localhost', 'u', 'it's (a) pass', 'db', 3306)",
            "#1 /x/db.php(9): mysqli_real_connect(Object(mysqli), ***, 3306)",
        ),
        ("#2 x.php(1): PDO->__construct('mysql:host=x', 'root', 'hunter2')", "#2 x.php(1): PDO->__construct(***)"),
        ("#3 x.php(1): wpdb->__construct('u', 'p', 'd', 'h')", "#3 x.php(1): wpdb->__construct(***)"),
        ("#4 x.php(1): wp_signon(Array, '')", "#4 x.php(1): wp_signon(Array, ***)"),
        ("#5 x.php(1): wp_authenticate('ada', 'hunter2')", "#5 x.php(1): wp_authenticate(***)"),
        ("#6 x.php(1): Redis->auth('hunter2')", "#6 x.php(1): Redis->auth(***)"),
        ("#7 x.php(1): mysqli_connect('localhost', 'user', 'cut of", "#7 x.php(1): mysqli_connect(***"),
        ("#8 x.php(1): Acme\\Auth\\hash_password(\"hunter2\")", "#8 x.php(1): Acme\\Auth\\hash_password(***)"),
        ("define('DB_PASSWORD', 'hunter2');", "define('DB_PASSWORD', '***');"),
        ("update_option('api_key', 'abc', 'yes')", "update_option('api_key', '***', 'yes')"),
    ]);
}

#[test]
fn what_php_and_json_print_is_hidden_by_its_names() {
    check(&[
        ("    [user_pass] => correct horse", "    [user_pass] => ***"),
        (r#"{"user":"ada","password":"a\"b c","n":1}"#, r#"{"user":"ada","password":"***","n":1}"#),
        (r#"{\"token\":\"abc\",\"n\":1}"#, r#"{\"token\":\"***\",\"n\":1}"#),
        (r"body: {\x22pwd\x22:\x22a b\x22,\x22n\x22:1}", r"body: {\x22pwd\x22:\x22***\x22,\x22n\x22:1}"),
        ("'secret' => 'abc', 'n' => 1", "'secret' => '***', 'n' => 1"),
        ("DB_PASSWORD=hunter2 DB_HOST=localhost", "DB_PASSWORD=*** DB_HOST=localhost"),
        ("dbPassword: hunter2 dbHost: x", "dbPassword: *** dbHost: x"),
        ("password = hunter2, host = x", "password = *** host = x"),
        (r#"{"cookies":["a=b","c=d"],"n":1}"#, r#"{"cookies":***],"n":1}"#),
        (r#"{"session":{"id":7,"token":"x"}}"#, r#"{"session":{"id":7,"token":"***"}}"#),
        (r"line one\nAuthorization: Basic YWRh", r"line one\nAuthorization: ***"),
        (
            "UPDATE wp_users SET user_pass = 'x y', user_login = 'ada'",
            "UPDATE wp_users SET user_pass = '***', user_login = 'ada'",
        ),
    ]);
}

#[test]
fn what_looks_like_a_key_is_hidden_wherever_it_stands() {
    check(&[
        ("mysql://root:hunter2@db.example/x", "mysql://root:***@db.example/x"),
        ("https://ghtoken@github.com/a", "https://***@github.com/a"),
        ("redis://:p@ss@127.0.0.1:6379", "redis://:***@127.0.0.1:6379"),
        ("id AKIAIOSFODNN7EXAMPLE used", "id *** used"),
        ("charge sk_live_abcdefghijkl failed", "charge *** failed"),
        ("jwt eyJhbGciOi.eyJzdWIi.SflKxw end", "jwt *** end"),
        ("/h/Zk3vQ9xT1mB7cR5nL8pW2yD4sF6gJ0aH-u_e1K2x3Yz", "/h/***"),
        ("/invite/5d41402abc4b2a76b9719d911017c592?x", "/invite/***?x"),
        ("hash $P$BabcdefG/hijk.lmn end", "hash *** end"),
        ("hash $2y$10$abcdefghij.klmno end", "hash *** end"),
        (
            "-----BEGIN RSA PRIVATE KEY-----MIIEabc-----END RSA PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----",
        ),
        ("MIIEpAIBAAKCAQEA7bq3Vf0h2kK1yXo9wq8Zs4Lr6Tn5Mp3Qe1", "***"),
    ]);
}

#[test]
fn what_one_reads_a_log_for_stays_readable() {
    check_shown(&[
        r#"2001:db8:85a3::8a2e:370:7334 - - [12/Mar/2026:10:00:00 +0000] "GET /?author=1&s=monkey+keyword HTTP/2.0" 301 0 "https://example.org/shop/?orderby=date" "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0""#,
        "PHP Fatal error:  Uncaught Error: Call to undefined function get_field() in /home/a/public/wp-content/themes/x/functions.php:12",
        r#"PHP Warning:  Undefined array key "password" in /home/a/x.php on line 3"#,
        "PHP Notice:  Undefined index: token in /home/a/x.php on line 3",
        r#"PHP Parse error:  syntax error, unexpected token ";", expecting "]" in /home/a/x.php on line 3"#,
        "#0 /x/class-wp-hook.php(324): WP_Hook->apply_filters('the_content', Array)",
        "#1 /x/y.php(7): Auth\\Token::make(Object(WP_User), 3)",
        "#2 /x/y.php(8): include('/home/a/public/wp-content/x.php')",
        "WordPress database error Duplicate entry '7' for key 'PRIMARY' for query INSERT INTO wp_x (id) VALUES (7)",
        "Unknown column 'token' in 'field list'",
        "/wp-json/wc/v3/orders?meta_key=_price&sort_key=date&cache_key=posts",
        "/wp-content/uploads/2026/05/Screenshot-2026-05-12-at-10-12-33-AM-scaled-1024x768.png",
        "/wp-content/cache/autoptimize/css/autoptimize_5d41402abc4b2a76b9719d911017c592.css",
        "/wp-content/plugins/woocommerce-google-analytics-integration/assets/js/build/index.js?ver=6.7.2",
        "status code: 500, state: running, error code=E_NOTICE",
        "request 550e8400-e29b-41d4-a716-446655440000 took 0.2 s",
        "upstream: \"fastcgi://unix:/run/php/a.sock:\", host: \"example.org:8080\"",
        "Basic authentication is required; the bearer authentication failed",
        "compass bypass tokenizer keyboard author authored signage passenger",
        "naïve café 日本語 \u{fffd} \u{1f600}",
        "",
    ]);
}

#[test]
fn a_name_without_a_value_or_at_the_end_hides_nothing_else() {
    check_shown(&[
        "password",
        "password:",
        "password=",
        "?token=",
        "(",
        "mysqli_connect(",
        "://",
        "://@",
        "$P",
        "\\",
        "%",
        "%2",
        "\\x2",
    ]);
    check(&[
        ("password=é", "password=***"),
        ("password='é", "password='***"),
        ("login('é", "login(***"),
        ("$P$", "***"),
    ]);
}

#[test]
fn a_long_line_takes_time_by_its_length_only() {
    for piece in [
        "key:[",
        "password=\"",
        "login(",
        "login('",
        "$P$",
        "eyJ.",
        "PRIVATE KEY-----",
        "basic=",
        "basic ",
        "://a@",
        "\\",
        "%3D",
    ] {
        let line = piece.repeat((256 << 10) / piece.len());
        // Quadratic, this would take minutes.
        assert!(masked(&line).len() <= line.len() * 3);
    }
}
