<?php
/**
 * phpMyAdmin's SignonScript: included on every request, and asks the agent every time. PHP 7.4.
 *
 * Nothing is kept in between, so an access that ended is over with the next page.
 */

require_once __DIR__ . '/agent.php';

if (!function_exists('get_login_credentials')) {
    /** phpMyAdmin takes an empty user for nobody, and goes to SignonURL. */
    function get_login_credentials($user): array
    {
        $session = Latchkey\session();
        $account = $session === null ? null : Latchkey\ask(['credentials' => $session]);
        return $account === null ? ['', ''] : [$account['user'], $account['password']];
    }
}
