<?php
/**
 * A redemption: from the token that a hand-over posts to a marked session of WordPress, or to a page that says why not.
 *
 * Used by both redeemers, sso.php and script.php, which define LATCHKEY and say where the token is burnt. WordPress is
 * started without plugins and theme, the user is looked up again, a session is made and reported, and only when the agent
 * agrees does a cookie leave. The hook wp_login is not fired. PHP 7.4.
 */

namespace Latchkey;

const ANSWER_MAX_BYTES = 262144;
const ANSWER_TIMEOUT_S = 5;

/** Whom a redemption asks for its consent. */
interface Counterpart
{
    /** Says something and returns the answer; null when there is none in time. */
    public function ask(array $message): ?array;
}

/** The conversation with the agent: JSON lines. */
final class Agent implements Counterpart
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

    public function is_reached(): bool
    {
        return $this->stream !== null;
    }

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
    /** @var Counterpart */
    private $agent;
    /** @var array */
    private $granted;
    /** @var bool */
    private $finished = false;

    public function __construct(Counterpart $agent, array $granted)
    {
        $this->agent = $agent;
        $this->granted = $granted;
    }

    /** Runs inside WordPress at plugins_loaded, the first moment at which it can make sessions. */
    public function finish(): void
    {
        $user = Accounts\member((int) $this->granted['user']['id']);
        if ($user === null) {
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
        $baseline = Accounts\baseline($user);
        add_filter('attach_session_information', function ($information) {
            return ['latchkey' => $this->granted['mark']] + (array) $information;
        }, PHP_INT_MAX);
        // Counted from the moment at which WordPress asks, which may be seconds later: no cookie outlives its session.
        add_filter('auth_cookie_expiration', static function () use ($expires_at) {
            return $expires_at - time();
        }, PHP_INT_MAX);
        $sessions = \WP_Session_Tokens::get_instance($user->ID);
        $token = Accounts\alone_with_sessions($user->ID, ANSWER_TIMEOUT_S, static function () use ($sessions, $expires_at): string {
            return $sessions->create($expires_at);
        });
        // Whoever ends the session sees by this whether they share the object cache with this pool: see pool.php.
        wp_cache_set((string) $this->granted['mark'], 'pool', 'latchkey', $life_s);
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
    // Not http_response_code(): after an error of the site's code, PHP keeps the 500 that it has set itself.
    header('Content-Type: text/html; charset=utf-8', true, $status);
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

/** Keeps what the site prints or flushes to itself: the only body that leaves is our page, so headers stay open to the end. */
function hold_output(): void
{
    ini_set('display_errors', '0');
    $GLOBALS['latchkey_page'] = '';
    ob_start(static function (): string {
        return $GLOBALS['latchkey_page'];
    }, 0, 0);
}

/** Whether the form is one of the gateway; a client that is no browser need not say. */
function comes_from_gateway(): bool
{
    $origin = $_SERVER['HTTP_ORIGIN'] ?? LATCHKEY['gateway'];
    // Browsers name the origin of a form that was sent on to another site as null. Its referrer they still tell, and no
    // page can claim to be another: it can only hide where it is.
    if ($origin === 'null') {
        $origin = substr($_SERVER['HTTP_REFERER'] ?? '', 0, -1);
    }
    return $origin === LATCHKEY['gateway'];
}

/** The token of this request; ends with a page unless there is a whole one, posted by the gateway. */
function posted_token(): string
{
    if (($_SERVER['REQUEST_METHOD'] ?? '') !== 'POST') {
        header('Allow: POST');
        refuse('This address only takes sign-ins that come from the hosting.', 405);
    }
    // A page elsewhere must not be able to sign somebody in; such a token is not even looked at.
    if (!comes_from_gateway()) {
        refuse('This sign-in does not come from the hosting.');
    }
    $token = $_POST['token'] ?? null;
    if (!is_string($token) || preg_match('/^[A-Za-z0-9_-]{43}$/D', $token) !== 1) {
        refuse('This link is not complete.');
    }
    return $token;
}

/** Presents a token to the agent; ends with a page unless the agent takes it. */
function present(Agent $agent, string $token): Redemption
{
    $answer = $agent->ask(['redeem' => ['instance' => LATCHKEY['instance'], 'token' => $token]]);
    if ($answer === null) {
        refuse('The hosting cannot check this link right now.');
    }
    if (!$answer['ok']) {
        refuse((string) ($answer['message'] ?? 'This link does not work any more.'));
    }
    return begin($agent, $answer);
}

/** A redemption of what was granted, which from now on says so if it comes to nothing. */
function begin(Counterpart $agent, array $granted): Redemption
{
    $redemption = new Redemption($agent, $granted);
    register_shutdown_function([$redemption, 'end']);
    $complete = is_int($granted['user']['id'] ?? null) && is_string($granted['user']['login'] ?? null)
        && is_int($granted['expires_at'] ?? null) && preg_match('/^[0-9a-f]{32}$/D', (string) ($granted['mark'] ?? '')) === 1;
    if (!$complete) {
        exit;
    }
    return $redemption;
}

/**
 * What has to stand before wp-load.php is required, and the function that is called once users are known. The site's code
 * starts there; it gets nothing of the request.
 */
function prepare_wordpress(string $then): void
{
    $_POST = $_GET = $_REQUEST = $_FILES = $_COOKIE = [];
    define_constants();
    seed_guards();
    seed_skipping();
    seed_hook('plugins_loaded', $then, PHP_INT_MIN);
}
