<?php
/**
 * Takes the token of a link by POST, once, and opens the session's own path of phpMyAdmin. PHP 7.4.
 */

namespace Latchkey;

require __DIR__ . '/agent.php';

$token = $_POST['token'] ?? null;
if ($_SERVER['REQUEST_METHOD'] !== 'POST' || !is_string($token)) {
    stop(404, 'There is nothing here. Open phpMyAdmin from your hosting panel.');
}
$session = ask(['sign_in' => [
    'token' => $token,
    'origin' => $_SERVER['HTTP_ORIGIN'] ?? null,
    'referrer' => $_SERVER['HTTP_REFERER'] ?? null,
]]);
if ($session === null) {
    stop(403, 'This link does not work any more: links are good once, for a minute. Open phpMyAdmin again from your hosting panel.');
}
$path = '/latchkey/' . $session['session'] . '/';
setcookie(COOKIE, $session['cookie'], [
    'path' => $path,
    'secure' => ($_SERVER['REQUEST_SCHEME'] ?? '') === 'https',
    'httponly' => true,
    // Lax, not Strict: the browser comes here from the gateway, which may be another site.
    'samesite' => 'Lax',
]);
header('Cache-Control: no-store');
header('Referrer-Policy: no-referrer');
header('Location: ' . $path . 'index.php?route=/database/structure&db=' . rawurlencode($session['database']), true, 303);
