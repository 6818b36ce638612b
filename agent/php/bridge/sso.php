<?php
/**
 * The redeemer `location`: turns a one-use token of the Latchkey gateway into a WordPress login.
 *
 * Root-owned, outside every docroot; run by the site's own PHP pool at the exact location /.well-known/latchkey-sso. The
 * token is presented to the agent over a Unix socket before any code of the site runs, and the agent burns it. What
 * follows is in redemption.php. The bridge comes to the same address when the pool has to forget sessions: see pool.php.
 * PHP 7.4.
 */

namespace Latchkey;

// In the global scope, because wp-config.php leaves its variables where it is included.
define('Latchkey\\LATCHKEY', [
    'instance' => $_SERVER['LATCHKEY_INSTANCE'] ?? '',
    'abspath' => $_SERVER['LATCHKEY_ABSPATH'] ?? '',
    'socket' => $_SERVER['LATCHKEY_SOCKET'] ?? '',
    'gateway' => $_SERVER['LATCHKEY_GATEWAY'] ?? '',
]);
require __DIR__ . '/boot.php';
require __DIR__ . '/accounts.php';
require __DIR__ . '/pool.php';
require __DIR__ . '/redemption.php';

function answer_forget(): void
{
    $answer = Pool\forget($GLOBALS['latchkey_form']);
    if ($answer === null) {
        refuse('This request does not come from the hosting.');
    }
    header('Content-Type: text/plain');
    $GLOBALS['latchkey_page'] = $answer;
    exit;
}

hold_output();
if (isset($_POST['forget'])) {
    $latchkey_form = $_POST;
    prepare_wordpress('answer_forget');
} else {
    $latchkey_token = posted_token();
    $latchkey_redemption = present(new Agent((string) LATCHKEY['socket']), $latchkey_token);
    unset($latchkey_token);
    prepare_wordpress('finish_redemption');
}
if (missing_wordpress(LATCHKEY['abspath']) === null) {
    require LATCHKEY['abspath'] . '/wp-load.php';
}
