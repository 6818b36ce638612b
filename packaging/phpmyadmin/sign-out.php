<?php
/**
 * Where phpMyAdmin sends whoever signs out, or is not let in: ends the session, and says so. PHP 7.4.
 */

namespace Latchkey;

require __DIR__ . '/agent.php';

$session = session();
if ($session !== null) {
    ask(['sign_out' => $session]);
}
stop(403, 'You are signed out of phpMyAdmin, or your access has ended. Open it again from your hosting panel.');
