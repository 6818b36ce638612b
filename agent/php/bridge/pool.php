<?php
/**
 * What a site's object cache still knows of sessions that have ended, and how it is made to forget.
 *
 * Redis, Memcached and files are shared with the bridge. The memory of a PHP pool (APCu) is not: there an ended session
 * would be answered from for as long as the pool lives. So each redemption, which runs in the pool, leaves a trace in the
 * cache; a bridge that cannot read it asks the pool to forget, by a request to the redeemer `location` of its own site.
 * Both sides prove that they know the site's database password. All that can be asked for is to read again. PHP 7.4.
 */

namespace Latchkey\Pool;

const GROUP = 'latchkey';
/** The web servers take 4 KiB of a form. */
const MOST_USERS = 200;
const ANSWER_TIMEOUT_S = 1.5;
const GOOD_FOR_S = 60;

/** Whether anything remembers what WordPress knows beyond a request. */
function is_cached(): bool
{
    // Not only what WordPress says of itself here: a drop-in may do nothing outside of the pool.
    return wp_using_ext_object_cache() || is_file(WP_CONTENT_DIR . '/object-cache.php');
}

/** Whether what the bridge ended has ended for the pool as well. */
function has_forgotten(string $site, array $users, array $marks): bool
{
    if (!is_cached()) {
        return true;
    }
    foreach ($marks as $mark) {
        if (wp_cache_get((string) $mark, GROUP, true) === 'pool') {
            return true;
        }
    }
    foreach (array_chunk($users, MOST_USERS) as $some) {
        if (!ask_to_forget($site, implode(',', $some))) {
            return false;
        }
    }
    return true;
}

/** Asks the pool, through the site's own web server. */
function ask_to_forget(string $site, string $users): bool
{
    $at = (string) time();
    $proof = proof('forget', $users, $at);
    $answer = wp_remote_post(rtrim($site, '/') . '/.well-known/latchkey-sso', [
        'body' => ['forget' => $users, 'at' => $at, 'proof' => $proof],
        'timeout' => ANSWER_TIMEOUT_S,
        'redirection' => 0,
        // As WordPress asks itself for its cron: the name may have no certificate on the node. The answer has its proof.
        'sslverify' => false,
    ]);
    return hash_equals(proof('forgotten', $users, $at), trim((string) wp_remote_retrieve_body($answer)));
}

/** In the pool: does what was asked for; the answer, or null if the proof is wrong. */
function forget(array $form): ?string
{
    [$users, $at, $given] = [$form['forget'] ?? null, $form['at'] ?? null, $form['proof'] ?? null];
    if (!is_string($users) || !is_string($at) || !is_string($given)
        || !hash_equals(proof('forget', $users, $at), $given) || abs(time() - (int) $at) > GOOD_FOR_S) {
        return null;
    }
    foreach (explode(',', $users) as $id) {
        wp_cache_delete((int) $id, 'user_meta');
    }
    return proof('forgotten', $users, $at);
}

/** What only this site's own code can know: for one word, these users and this moment. */
function proof(string $word, string $users, string $at): string
{
    global $wpdb;
    $key = hash('sha256', implode('|', ['latchkey', DB_NAME, DB_PASSWORD, $wpdb->usermeta]));
    return hash_hmac('sha256', "$word|$users|$at", $key);
}
