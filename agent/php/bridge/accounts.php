<?php
/**
 * Facts about WordPress users: roles, sessions, and what somebody could have left behind to come back.
 *
 * Used by the actions of bridge.php and by the redeemers, after WordPress was loaded. Asks the database and WordPress's own
 * classes rather than queries that plugins filter: a plugin may hide users from those. PHP 7.4.
 */

namespace Latchkey\Accounts;

/** Capabilities of which each one is enough to become an administrator. */
const ADMINISTRATIVE = ['manage_options', 'edit_users', 'promote_users', 'create_users', 'install_plugins',
    'upload_plugins', 'activate_plugins', 'edit_plugins', 'install_themes', 'edit_themes', 'update_core', 'import'];

/** How many administrators, sessions or application passwords are told at most. */
const MOST = 500;

/** A user as the menu of users and wp_user.find show it. */
function summary(\WP_User $user): array
{
    return [
        'id' => (int) $user->ID,
        'login' => (string) $user->user_login,
        'display_name' => (string) $user->display_name,
        'roles' => array_values(array_map('strval', $user->roles)),
    ];
}

/** The user with this id, if they belong to this site. */
function member(int $id): ?\WP_User
{
    $user = get_user_by('id', $id);
    if (!$user || (is_multisite() && !is_user_member_of_blog($user->ID) && !is_super_admin($user->ID))) {
        return null;
    }
    return $user;
}

/** What the user could come back with already, before a login. */
function baseline(\WP_User $user): array
{
    return [
        'user' => [
            'id' => (int) $user->ID,
            'login' => (string) $user->user_login,
            'email' => (string) $user->user_email,
            'password_fingerprint' => password_fingerprint($user),
            'application_passwords' => array_column(application_passwords($user->ID), 'uuid'),
            'sessions' => array_map('strval', array_keys(array_slice(sessions($user->ID), -MOST, null, true))),
        ],
        'administrators' => administrators(),
        // Where code and uploads lie, if not in the docroot: they are looked through when the access ends.
        'folders' => [WP_CONTENT_DIR, WP_PLUGIN_DIR, WP_LANG_DIR, (string) (wp_upload_dir(null, false)['basedir'] ?? '')],
    ];
}

/** Whether this user is an administrator or can make themselves one. Plugins that change capabilities are not asked. */
function is_administrator(\WP_User $user): bool
{
    if (is_multisite() && is_super_admin($user->ID)) {
        return true;
    }
    foreach (ADMINISTRATIVE as $capability) {
        if (!empty($user->allcaps[$capability])) {
            return true;
        }
    }
    return false;
}

/** All who are administrators by that measure, the newest first. */
function administrators(): array
{
    global $wpdb;
    $names = ADMINISTRATIVE;
    foreach (wp_roles()->roles as $role => $definition) {
        if (array_intersect(ADMINISTRATIVE, array_keys(array_filter((array) ($definition['capabilities'] ?? []))))) {
            $names[] = (string) $role;
        }
    }
    $like = [];
    foreach ($names as $name) {
        $like[] = $wpdb->prepare('meta_value LIKE %s', '%' . $wpdb->esc_like("\"$name\"") . '%');
    }
    $ids = $wpdb->get_col($wpdb->prepare(
        "SELECT DISTINCT user_id FROM {$wpdb->usermeta} WHERE meta_key = %s AND (" . implode(' OR ', $like)
        . ') ORDER BY user_id DESC LIMIT %d',
        $wpdb->get_blog_prefix() . 'capabilities',
        MOST
    ));
    if (is_multisite()) {
        foreach (get_super_admins() as $login) {
            $user = get_user_by('login', $login);
            $ids[] = $user ? $user->ID : 0;
        }
    }
    $ids = array_unique(array_map('intval', $ids));
    cache_users($ids);
    $found = [];
    foreach ($ids as $id) {
        $user = get_userdata($id);
        if ($user && is_administrator($user)) {
            $found[] = ['id' => $id, 'login' => (string) $user->user_login, 'registered' => registered($user)];
        }
    }
    return $found;
}

/** When the user was made, as a Unix time; 0 when WordPress does not know. */
function registered(\WP_User $user): int
{
    return (int) strtotime($user->user_registered . ' UTC');
}

/** Changes when the password does, and says nothing about it. */
function password_fingerprint(\WP_User $user): string
{
    return hash('sha256', 'latchkey|' . $user->user_pass);
}

/** @return array<array{uuid: string, name: string, created: int}> */
function application_passwords(int $id): array
{
    $found = [];
    foreach ((array) get_user_meta($id, '_application_passwords', true) as $item) {
        if (is_array($item)) {
            $found[] = [
                'uuid' => (string) ($item['uuid'] ?? ''),
                'name' => (string) ($item['name'] ?? ''),
                'created' => (int) ($item['created'] ?? 0),
            ];
        }
    }
    return array_slice($found, 0, MOST);
}

/** The user's sessions by verifier, from wherever this site keeps them. */
function sessions(int $id): array
{
    // Another process may have written since this one read.
    wp_cache_delete($id, 'user_meta');
    return array_filter((array) session_method($id, 'get_sessions')(), 'is_array');
}

/** Ends one session, known by its verifier. */
function end_session(int $id, string $verifier): void
{
    $is_usual = get_class(\WP_Session_Tokens::get_instance($id)) === 'WP_User_Meta_Session_Tokens';
    if (!$is_usual || !end_session_in_place($id, $verifier)) {
        session_method($id, 'update_session')($verifier, null);
    }
}

/**
 * Takes one session out of the value that holds all of a user's, unless it was written by somebody else in between:
 * WordPress would write back all of them as it had read them. False when that could not be done.
 */
function end_session_in_place(int $id, string $verifier): bool
{
    global $wpdb;
    $select = "SELECT umeta_id, meta_value FROM {$wpdb->usermeta} WHERE user_id = %d AND meta_key = 'session_tokens' LIMIT 1";
    $update = "UPDATE {$wpdb->usermeta} SET meta_value = %s WHERE umeta_id = %d AND BINARY meta_value = %s";
    $ended = false;
    for ($attempt = 0; $attempt < 20 && !$ended; $attempt++) {
        $row = $wpdb->get_row($wpdb->prepare($select, $id));
        $sessions = $row ? maybe_unserialize($row->meta_value) : null;
        if (!is_array($sessions) || !isset($sessions[$verifier])) {
            break;
        }
        unset($sessions[$verifier]);
        $ended = $wpdb->query($wpdb->prepare($update, serialize($sessions), $row->umeta_id, $row->meta_value)) === 1;
    }
    wp_cache_delete($id, 'user_meta');
    return $ended;
}

/**
 * Does something while no other process of ours changes this user's sessions.
 *
 * WordPress keeps all of them in one value, which it reads, changes and writes back: without this, a login that runs
 * beside the end of a session would bring that one back, and of two logins at once one would be lost. A database that
 * has no such locks, or somebody who holds this one, only takes that protection away.
 *
 * @return mixed
 */
function alone_with_sessions(int $id, int $patience_s, callable $work)
{
    global $wpdb;
    // Locks are of the whole database server: nobody else can know this name.
    $name = 'latchkey-' . substr(hash('sha256', implode('|', [DB_NAME, DB_PASSWORD, $wpdb->usermeta, $id])), 0, 48);
    $quiet = $wpdb->suppress_errors();
    $locked = (string) $wpdb->get_var($wpdb->prepare('SELECT GET_LOCK(%s, %d)', $name, $patience_s)) === '1';
    $wpdb->suppress_errors($quiet);
    wp_cache_delete($id, 'user_meta');
    try {
        return $work();
    } finally {
        if ($locked) {
            $wpdb->get_var($wpdb->prepare('SELECT RELEASE_LOCK(%s)', $name));
        }
    }
}

/** A protected method of the class that keeps this user's sessions: WordPress itself offers them by token only. */
function session_method(int $id, string $name): callable
{
    $manager = \WP_Session_Tokens::get_instance($id);
    $method = new \ReflectionMethod($manager, $name);
    if (PHP_VERSION_ID < 80100) {
        $method->setAccessible(true);
    }
    return static function (...$arguments) use ($manager, $method) {
        return $method->invoke($manager, ...$arguments);
    };
}
