<?php
/**
 * The redeemer: turns a one-use token of the Latchkey gateway into a WordPress login.
 *
 * Root-owned, outside every docroot; run by the site's own PHP pool at the exact location /.well-known/latchkey-sso. The
 * token is presented to the agent over a Unix socket before any code of the site runs, and the agent burns it. Then
 * WordPress is started without plugins and theme, the user is looked up again, a session is made and reported, and only
 * when the agent agrees does a cookie leave. The hook wp_login is not fired. PHP 7.4.
 */

namespace Latchkey;

const ANSWER_MAX_BYTES = 262144;
const ANSWER_TIMEOUT_S = 5;

/** The conversation with the agent: JSON lines. */
final class Agent
{
    /** @var resource|null */
    private $stream;

    public function __construct(string $socket)
    {
        $this->stream = @stream_socket_client("unix://$socket", $number, $text, ANSWER_TIMEOUT_S) ?: null;
        if ($this->stream !== null) {
            stream_set_timeout($this->stream, ANSWER_TIMEOUT_S);
        }
    }

    /** Says something and returns the answer; null when there is none in time. */
    public function ask(array $message): ?array
    {
        $line = json_encode($message, JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE);
        if ($this->stream === null || $line === false || strlen($line) >= ANSWER_MAX_BYTES) {
            return null;
        }
        if (@fwrite($this->stream, "$line\n") !== strlen($line) + 1) {
            return null;
        }
        $answer = json_decode((string) @fgets($this->stream, ANSWER_MAX_BYTES), true);
        return is_array($answer) && is_bool($answer['ok'] ?? null) ? $answer : null;
    }
}

/** One redemption, from the token to the cookie. */
final class Redemption
{
    /** @var Agent */
    private $agent;
    /** @var array */
    private $granted;
    /** @var bool */
    private $finished = false;

    public function __construct(Agent $agent, array $granted)
    {
        $this->agent = $agent;
        $this->granted = $granted;
    }

    /** Runs inside WordPress at plugins_loaded, the first moment at which it can make sessions. */
    public function finish(): void
    {
        $user = get_user_by('id', (int) $this->granted['user']['id']);
        if (!$user || (is_multisite() && !is_user_member_of_blog($user->ID) && !is_super_admin($user->ID))) {
            $this->fail('user_missing', 'The WordPress user of this link does not exist any more.');
        }
        if ($user->user_login !== $this->granted['user']['login']) {
            $this->fail('login_changed', 'The WordPress user of this link is not the same any more.');
        }
        $expires_at = (int) $this->granted['expires_at'];
        $life_s = $expires_at - time();
        if ($life_s <= 0) {
            $this->fail('boot_failed', 'The access behind this link has ended.');
        }
        $baseline = $this->baseline($user);
        add_filter('attach_session_information', function ($information) {
            return ['latchkey' => $this->granted['mark']] + (array) $information;
        }, PHP_INT_MAX);
        add_filter('auth_cookie_expiration', static function () use ($life_s) {
            return $life_s;
        }, PHP_INT_MAX);
        $sessions = \WP_Session_Tokens::get_instance($user->ID);
        $token = Accounts\alone_with_sessions($user->ID, ANSWER_TIMEOUT_S, static function () use ($sessions, $expires_at): string {
            return $sessions->create($expires_at);
        });
        $answer = $this->agent->ask(['opened' => [
            'verifier' => hash('sha256', $token),
            'expires_at' => $expires_at,
            'baseline' => $baseline,
            'administrator' => Accounts\is_administrator($user),
        ]]);
        if ($answer === null || !$answer['ok']) {
            Accounts\alone_with_sessions($user->ID, ANSWER_TIMEOUT_S, static function () use ($sessions, $token): void {
                $sessions->destroy($token);
            });
            $this->finished = true;
            refuse((string) ($answer['message'] ?? 'The hosting could not confirm this sign-in.'));
        }
        $this->finished = true;
        wp_set_current_user($user->ID);
        wp_set_auth_cookie($user->ID, false, '', $token);
        nocache_headers();
        header('Referrer-Policy: no-referrer');
        header('Location: ' . admin_url(), true, 302);
        exit;
    }

    /** At the end of the script: whoever ended it before finish() did kept WordPress from starting. */
    public function end(): void
    {
        if (!$this->finished) {
            $this->fail('boot_failed', 'The site could not be started.');
        }
    }

    /** @return never */
    private function fail(string $reason, string $message): void
    {
        $this->finished = true;
        $this->agent->ask(['failed' => ['reason' => $reason]]);
        refuse($message);
    }

    /** What the user could come back with already, before this login. */
    private function baseline(\WP_User $user): array
    {
        return [
            'user' => [
                'id' => (int) $user->ID,
                'login' => (string) $user->user_login,
                'email' => (string) $user->user_email,
                'password_fingerprint' => Accounts\password_fingerprint($user),
                'application_passwords' => array_column(Accounts\application_passwords($user->ID), 'uuid'),
                'sessions' => array_map('strval', array_keys(array_slice(Accounts\sessions($user->ID), -Accounts\MOST, null, true))),
            ],
            'administrators' => Accounts\administrators(),
        ];
    }
}

/** The page that says why nobody was signed in, and what to do. @return never */
function refuse(string $message, int $status = 403): void
{
    $gateway = (string) LATCHKEY['gateway'];
    $link = preg_match('~^https?://[^\s"\'<>]+$~D', $gateway) === 1
        ? '<p><a href="' . escape($gateway) . '">' . escape((string) preg_replace('~^https?://~', '', $gateway)) . '</a></p>'
        : '';
    header_remove('Set-Cookie');
    header_remove('Location');
    http_response_code($status);
    header('Content-Type: text/html; charset=utf-8');
    header('Cache-Control: no-store');
    header('Referrer-Policy: no-referrer');
    header('X-Content-Type-Options: nosniff');
    header('X-Frame-Options: DENY');
    header("Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    $style = ':root{color-scheme:light dark}body{font:1.0625rem/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto 0;'
        . 'padding:0 1.25rem}h1{font-size:1.375rem}a{color:LinkText;overflow-wrap:anywhere}';
    $GLOBALS['latchkey_page'] = '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        . '<meta name="robots" content="noindex"><title>Not signed in</title><style>' . $style . '</style></head><body><main>'
        . '<h1>You were not signed in</h1><p>' . escape(substr($message, 0, 500)) . '</p>'
        . '<p>Open the site again from where you manage it. Each link works once and only for a minute.</p>'
        . $link . '</main></body></html>';
    exit;
}

function escape(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

/** For wp_die(): the end of the script says the rest. */
function die_handler(): string
{
    return __NAMESPACE__ . '\\stop';
}

function stop(): void
{
    exit;
}

function refuse_redirect(): bool
{
    exit;
}

function finish_redemption(): void
{
    $GLOBALS['latchkey_redemption']->finish();
}

/** Presents the token of this request; ends with a page unless the agent takes it. */
function redeem(): Redemption
{
    if (($_SERVER['REQUEST_METHOD'] ?? '') !== 'POST') {
        header('Allow: POST');
        refuse('This address only takes sign-ins that come from the hosting.', 405);
    }
    // A page elsewhere must not be able to sign somebody in; such a token is not even looked at.
    if (isset($_SERVER['HTTP_ORIGIN']) && $_SERVER['HTTP_ORIGIN'] !== LATCHKEY['gateway']) {
        refuse('This sign-in does not come from the hosting.');
    }
    $token = $_POST['token'] ?? null;
    if (!is_string($token) || preg_match('/^[A-Za-z0-9_-]{43}$/D', $token) !== 1) {
        refuse('This link is not complete.');
    }
    $agent = new Agent((string) LATCHKEY['socket']);
    $answer = $agent->ask(['redeem' => ['instance' => LATCHKEY['instance'], 'token' => $token]]);
    if ($answer === null) {
        refuse('The hosting cannot check this link right now.');
    }
    if (!$answer['ok']) {
        refuse((string) ($answer['message'] ?? 'This link does not work any more.'));
    }
    $redemption = new Redemption($agent, $answer);
    register_shutdown_function([$redemption, 'end']);
    $complete = is_int($answer['user']['id'] ?? null) && is_string($answer['user']['login'] ?? null)
        && is_int($answer['expires_at'] ?? null) && preg_match('/^[0-9a-f]{32}$/D', (string) ($answer['mark'] ?? '')) === 1;
    if (!$complete) {
        exit;
    }
    return $redemption;
}

// From here in the global scope, because wp-config.php leaves its variables where it is included.
ini_set('display_errors', '0');
$latchkey_page = '';
// Whatever the site prints or flushes, the only body that leaves is our page; so headers stay open to the end.
ob_start(static function (): string {
    return $GLOBALS['latchkey_page'];
}, 0, 0);
define('Latchkey\\LATCHKEY', [
    'instance' => $_SERVER['LATCHKEY_INSTANCE'] ?? '',
    'abspath' => $_SERVER['LATCHKEY_ABSPATH'] ?? '',
    'socket' => $_SERVER['LATCHKEY_SOCKET'] ?? '',
    'gateway' => $_SERVER['LATCHKEY_GATEWAY'] ?? '',
]);
require __DIR__ . '/boot.php';
require __DIR__ . '/accounts.php';

$latchkey_redemption = redeem();
// The site's code starts here; it gets nothing of the request.
$_POST = $_GET = $_REQUEST = $_FILES = $_COOKIE = [];
define_constants();
seed_guards();
seed_skipping();
seed_hook('plugins_loaded', 'finish_redemption', PHP_INT_MIN);
if (missing_wordpress(LATCHKEY['abspath']) === null) {
    require LATCHKEY['abspath'] . '/wp-load.php';
}
