//! Texts that somebody would send who wants a name to become more than a name.

/// About ninety of them: what ends a quoted name, a line or a statement, what looks alike, what is too long.
pub fn texts() -> impl Iterator<Item = String> {
    let signs = [
        "`",
        "'",
        "\"",
        "\\",
        ";",
        "--",
        "/*",
        "*/",
        "#",
        "%",
        "*",
        "?",
        "\n",
        "\r\n",
        "\t",
        "\0",
        "\u{1b}[2J",
        "$(id)",
        "`id`",
        "|",
        "&&",
        "<",
        ">",
        "..",
        "../",
        "/",
        "@",
        " ",
        "\u{a0}",
        "\u{202e}",
        "\u{2019}",
        "\u{ff07}",
        "а",
        "ı",
        "ſ",
        "😀",
        "{}",
        "{system_user}",
        "%00",
        "%2e%2e%2f",
        "\u{feff}",
        "~",
    ];
    let around = signs.into_iter().flat_map(|sign| [format!("a{sign}b"), format!("{sign}; DROP DATABASE mysql; -- ")]);
    let whole = ["", " ", ".", "..", "/etc/passwd", "A", "a b"].map(str::to_owned);
    around.chain(whole).chain([64, 65, 1_000, 65_536].map(|length| "A".repeat(length)))
}
