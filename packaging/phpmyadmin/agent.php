<?php
/**
 * What phpMyAdmin asks the agent: one JSON line each way over a Unix socket that answers phpMyAdmin's own user only.
 *
 * Where the agent does not answer there is no account and so no page. PHP 7.4.
 */

namespace Latchkey;

const ANSWER_MAX_BYTES = 4096;
const ANSWER_TIMEOUT_S = 5;
/** The browser's half of a session. Its path is the session's, so two sessions never see each other's. */
const COOKIE = 'latchkey_phpmyadmin';

/** The agent's answer, or null where there is none or it is a no. Ends the request where something does not work. */
function ask(array $question): ?array
{
    $stream = @stream_socket_client('unix://' . ($_SERVER['LATCHKEY_SOCKET'] ?? ''), $number, $text, ANSWER_TIMEOUT_S);
    if ($stream === false) {
        return null;
    }
    stream_set_timeout($stream, ANSWER_TIMEOUT_S);
    $line = json_encode($question);
    if ($line === false || @fwrite($stream, "$line\n") !== strlen($line) + 1) {
        return null;
    }
    $answer = json_decode((string) @fgets($stream, ANSWER_MAX_BYTES), true);
    fclose($stream);
    if (is_array($answer) && is_string($answer['detail'] ?? null)) {
        stop(503, "phpMyAdmin cannot be opened at the moment: {$answer['detail']}. Open it again from your hosting panel.");
    }
    return is_array($answer) && ($answer['ok'] ?? null) === true ? $answer : null;
}

/** What the agent knows this request's session by, or null. */
function session(): ?array
{
    $session = $_SERVER['LATCHKEY_SESSION'] ?? '';
    $cookie = $_COOKIE[COOKIE] ?? '';
    return is_string($cookie) && $session !== '' && $cookie !== '' ? ['session' => $session, 'cookie' => $cookie] : null;
}

/** Ends the request with a page that says what to do. */
function stop(int $status, string $words): void
{
    http_response_code($status);
    header('Content-Type: text/plain; charset=utf-8');
    header('Cache-Control: no-store');
    header('Referrer-Policy: no-referrer');
    echo $words, "\n";
    exit;
}
