//! Logins of accounts that follow a share: from the person's address, a dot, and the instance.

use latchkey_access::{Email, InstanceId};

const LONGEST_NAME: usize = 24;

/// The logins to try, one after the other until one is free: `jo.live`, `jo-2.live`, `jo-3.live` …
pub(super) fn candidates(email: &Email, instance: &InstanceId) -> impl Iterator<Item = String> {
    let name = name_of(email.as_str());
    let instance = instance.clone();
    (1_u32..).map(move |number| {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let room = LONGEST_NAME.saturating_sub(suffix.len());
        let kept: String = name.chars().take(room).collect();
        format!("{}{suffix}.{instance}", kept.trim_end_matches('-'))
    })
}

/// The local part of an address as `[a-z0-9-]`, without dashes at its ends or beside each other.
fn name_of(email: &str) -> String {
    let local = email.rsplit_once('@').map_or(email, |(local, _)| local);
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let words = local.split(|letter: char| !plain(letter)).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-");
    if name.is_empty() { "guest".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[track_caller]
    fn check(email: &str, expected: [&str; 3]) {
        let instance = "live".parse().unwrap();
        let first: Vec<String> = candidates(&email.parse().unwrap(), &instance).take(3).collect();
        assert_eq!(first, expected);
        assert!(first.iter().all(|login| login.split_once('.').unwrap().0.len() <= 24));
    }

    #[test]
    fn a_login_is_made_of_the_address_and_the_instance_with_a_number_where_it_is_taken() {
        check("jo@example.org", ["jo.live", "jo-2.live", "jo-3.live"]);
        check("Jo.Du_pont+wp@example.org", ["jo-du-pont-wp.live", "jo-du-pont-wp-2.live", "jo-du-pont-wp-3.live"]);
        check("++@example.org", ["guest.live", "guest-2.live", "guest-3.live"]);
    }

    #[test]
    fn a_long_address_leaves_room_for_the_number() {
        let email = format!("{}@example.org", "a".repeat(60));
        let (name, short) = ("a".repeat(24), "a".repeat(22));
        check(&email, [&format!("{name}.live"), &format!("{short}-2.live"), &format!("{short}-3.live")]);
        // What is cut off does not leave a dash at the end.
        let email = format!("{}-bcd@example.org", "a".repeat(23));
        check(&email, [&format!("{}.live", "a".repeat(23)), &format!("{short}-2.live"), &format!("{short}-3.live")]);
    }
}
