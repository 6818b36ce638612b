<?php
/**
 * sessions.end: ends WordPress sessions that a share opened, and tells what somebody could come back with.
 *
 * Before the site's code is loaded, scripts that could still open one are removed; see script.php.
 * Of each user those sessions end that carry one of the marks; with `unmarked` also those without any mark that are
 * not among the known ones and began since. Sessions with another mark belong to another share and stay. An object cache
 * that could not be reached is an error, although the database is done: the sessions live on in it. Safe to repeat.
 */

namespace Latchkey;

require_once dirname(__DIR__) . '/scripts.php';

/** How often a user's sessions are read again: another process may write back what was just ended. */
const SESSION_SWEEPS = 3;

$is_ended = static function (string $verifier, array $session, array $marks, array $entry, bool $same_user): bool {
    $mark = $session['latchkey'] ?? null;
    if ($mark !== null) {
        return in_array($mark, $marks, true);
    }
    return $same_user
        && ($entry['unmarked'] ?? false) === true
        && !in_array($verifier, (array) ($entry['known'] ?? []), true)
        && (int) ($session['login'] ?? 0) >= (int) ($entry['since'] ?? 0) - 1;
};

$end_sessions_of = static function (int $id, array $marks, array $entry, bool $same_user) use ($is_ended): int {
    $ended = [];
    for ($sweep = 0; $sweep < SESSION_SWEEPS; $sweep++) {
        $found = false;
        foreach (Accounts\sessions($id) as $verifier => $session) {
            if ($is_ended((string) $verifier, $session, $marks, $entry, $same_user)) {
                Accounts\end_session($id, (string) $verifier);
                // By its verifier: one that came back is no second one.
                $ended[(string) $verifier] = true;
                $found = true;
            }
        }
        if (!$found) {
            break;
        }
    }
    return count($ended);
};

/** What became of the scripts; if one cannot be removed the sessions are ended all the same. */
$scripts = new class {
    /** @var string[] */
    public $removed = [];
    /** @var ?ActionError */
    public $error;
};

return [
    'end' => ['wordpress' => true, 'before' => static function (array $args) use ($scripts): void {
        try {
            $scripts->removed = Scripts\remove((array) ($args['scripts'] ?? []));
        } catch (ActionError $error) {
            $scripts->error = $error;
        }
    }, 'run' => static function (array $args) use ($end_sessions_of, $scripts): array {
        $marks = $args['marks'] ?? null;
        $users = $args['users'] ?? null;
        if (!is_array($marks) || !is_array($users) || count($users) > 1000) {
            throw new ActionError('invalid', 'Expected marks and users to be lists.');
        }
        $told = [];
        foreach ($users as $entry) {
            $id = $entry['id'] ?? null;
            $login = $entry['login'] ?? null;
            if (!is_int($id) || $id < 1 || !is_string($login)) {
                throw new ActionError('invalid', 'Expected each user to have an id and a login.');
            }
            $user = get_userdata($id);
            // A mark is ours whoever has the id now; what is unmarked is judged for the same user only.
            $same_user = $user && $user->user_login === $login;
            $end = static function () use ($end_sessions_of, $id, $marks, $entry, $same_user): int {
                return $end_sessions_of($id, $marks, $entry, $same_user);
            };
            $ended = Accounts\alone_with_sessions($id, 1, $end);
            $told[] = [
                'id' => $id,
                'login' => $login,
                'missing' => !$same_user,
                'ended' => $ended,
                'password_fingerprint' => $same_user ? Accounts\password_fingerprint($user) : null,
                'email' => $same_user ? (string) $user->user_email : null,
                'application_passwords' => $same_user ? Accounts\application_passwords($id) : [],
            ];
        }
        $ended = array_sum(array_column($told, 'ended'));
        // A script that nobody used opened nothing that a pool could remember.
        $was_opened = $ended > 0 || count($scripts->removed) < count($marks);
        $url = (string) ($GLOBALS['latchkey']['site']['url'] ?? '');
        if ($was_opened && !Pool\has_forgotten($url, array_column($told, 'id'), $marks)) {
            throw new ActionError('unavailable', "The site's object cache did not confirm that it dropped the sessions.");
        }
        if ($scripts->error !== null) {
            throw $scripts->error;
        }
        return [
            'unused_scripts' => count($scripts->removed),
            'ended' => $ended,
            'users' => $told,
            'administrators' => Accounts\administrators(),
        ];
    }],
];
