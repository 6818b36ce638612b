<?php
/**
 * The bridge: one action of one WordPress site. JSON on standard input, one line of JSON on descriptor 3.
 *
 * Runs as the site's system user in the docroot, started by latchkey-php. Whatever plugins print, exit, throw or
 * redirect, exactly one reply is written. The reply is the site's own claim: its code shares this process.
 * An action is a file in actions/ named after its noun, which returns its verbs. A verb may name what it does before any
 * code of the site is loaded: that holds also where the site then hangs. PHP 7.4.
 */

namespace Latchkey;

const REQUEST_MAX_BYTES = 1048576;
const REPLY_MAX_BYTES = 1048576;

/** An error that an action answers with. */
final class ActionError extends \RuntimeException
{
    /** @var string */
    public $reason;

    public function __construct(string $reason, string $message)
    {
        parent::__construct($message);
        $this->reason = $reason;
    }

    /** After PHP failed at a file: whether the site has no room left, or anything else. */
    public static function of_files(string $message): self
    {
        $cause = (string) (error_get_last()['message'] ?? '');
        if (preg_match('/Disk quota exceeded|No space left on device/', $cause) === 1) {
            return new self('quota', "$message There is no room left in the hosting.");
        }
        return new self('unavailable', $message);
    }
}

/** The one reply; what comes after the first is dropped. */
final class Reply
{
    /** @var resource|null */
    private static $channel;

    public static function open(): void
    {
        self::$channel = fopen('php://fd/3', 'wb') ?: null;
    }

    public static function result(array $result): void
    {
        self::write(['ok' => true, 'result' => $result === [] ? new \stdClass() : $result]);
    }

    public static function error(string $code, string $message): void
    {
        $message = substr(preg_replace('/\s+/', ' ', without_place($message)) ?? '', 0, 2000);
        self::write(['ok' => false, 'error' => ['code' => $code, 'message' => $message]]);
    }

    private static function write(array $reply): void
    {
        if (self::$channel === null) {
            return;
        }
        $flags = JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE;
        $line = json_encode($reply, $flags);
        if ($line === false || strlen($line) >= REPLY_MAX_BYTES) {
            $line = '{"ok":false,"error":{"code":"invalid","message":"The reply is longer than 1 MiB."}}';
        }
        fwrite(self::$channel, $line . "\n");
        fclose(self::$channel);
        self::$channel = null;
    }
}

/** A message without the place of the site on the node: files are named from the docroot, and outside of it from the home. */
function without_place(string $message): string
{
    foreach ([(string) getcwd() => '', (string) getenv('HOME') => '~/'] as $directory => $instead) {
        if (strlen($directory) > 1) {
            $message = str_replace("$directory/", $instead, $message);
        }
    }
    return $message;
}

/** Replies for whoever ended the script without one. */
function reply_at_shutdown(): void
{
    $error = error_get_last();
    $fatal = E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR | E_USER_ERROR | E_RECOVERABLE_ERROR;
    if ($error !== null && ($error['type'] & $fatal) !== 0) {
        Reply::error('fatal', "{$error['message']} in {$error['file']}:{$error['line']}");
    } else {
        Reply::error('exit', 'WordPress or one of its plugins ended the script.');
    }
}

/** For wp_die(): replies instead of printing a page. */
function die_handler(): string
{
    return __NAMESPACE__ . '\\reply_died';
}

/** @param mixed $message */
function reply_died($message): void
{
    $text = is_wp_error($message) ? $message->get_error_message() : (string) $message;
    $database = isset($GLOBALS['wpdb']) && !$GLOBALS['wpdb']->ready;
    Reply::error($database ? 'database' : 'fatal', html_entity_decode(strip_tags($text), ENT_QUOTES, 'UTF-8'));
    exit;
}

/** Nothing here answers a browser, so whoever redirects has taken over. */
function refuse_redirect(string $location): bool
{
    if (strpos($location, 'wp-admin/install.php') !== false) {
        Reply::error('no_wordpress', 'WordPress is not installed in its database yet.');
    } else {
        Reply::error('exit', "A plugin or theme redirects to $location.");
    }
    exit;
}

/** The verb of an action: ['wordpress' => bool, 'before'? => function (array $args), 'run' => function (array $args): array]. */
function find_verb(string $action): ?array
{
    if (preg_match('/^([a-z_]{1,40})\.([a-z_]{1,40})$/D', $action, $parts) !== 1) {
        return null;
    }
    $file = __DIR__ . "/actions/{$parts[1]}.php";
    $verbs = is_file($file) ? require $file : [];
    return $verbs[$parts[2]] ?? null;
}

/** Makes the request look like one for the site's front page. */
function pretend_request(string $url): bool
{
    $parts = parse_url($url);
    $scheme = $parts['scheme'] ?? '';
    if (!in_array($scheme, ['http', 'https'], true) || empty($parts['host'])) {
        return false;
    }
    $port = $parts['port'] ?? ($scheme === 'https' ? 443 : 80);
    $path = rtrim($parts['path'] ?? '', '/') . '/';
    $_SERVER['HTTP_HOST'] = $parts['host'] . (isset($parts['port']) ? ":$port" : '');
    $_SERVER['SERVER_NAME'] = $parts['host'];
    $_SERVER['SERVER_PORT'] = (string) $port;
    $_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1';
    $_SERVER['REQUEST_METHOD'] = 'GET';
    $_SERVER['REQUEST_URI'] = $path;
    $_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = $path . 'index.php';
    $_SERVER['REMOTE_ADDR'] = '127.0.0.1';
    $_SERVER['HTTP_USER_AGENT'] = 'Latchkey';
    if ($scheme === 'https') {
        $_SERVER['HTTPS'] = 'on';
    }
    return true;
}

// From here in the global scope, because wp-config.php leaves its variables where it is included.
Reply::open();
ini_set('display_errors', 'stderr');
ini_set('html_errors', '0');
ob_start(static function () {
    return '';
}, 4096);
register_shutdown_function(__NAMESPACE__ . '\\reply_at_shutdown');

$latchkey = json_decode((string) stream_get_contents(STDIN, REQUEST_MAX_BYTES), true);
require __DIR__ . '/boot.php';
require __DIR__ . '/accounts.php';
require __DIR__ . '/pool.php';

try {
    $latchkey_verb = is_string($latchkey['action'] ?? null) ? find_verb($latchkey['action']) : null;
    if ($latchkey_verb === null) {
        throw new ActionError('unsupported', 'This bridge does not know the action.');
    }
    if (isset($latchkey_verb['before'])) {
        $latchkey_verb['before'](is_array($latchkey['args'] ?? null) ? $latchkey['args'] : []);
    }
    if ($latchkey_verb['wordpress']) {
        if (!pretend_request((string) ($latchkey['site']['url'] ?? ''))) {
            throw new ActionError('invalid', 'The site has no usable URL.');
        }
        $latchkey_missing = missing_wordpress((string) getcwd());
        if ($latchkey_missing !== null) {
            throw new ActionError('no_wordpress', $latchkey_missing);
        }
        define_constants();
        seed_guards();
        if (!empty($latchkey['skip_plugins'])) {
            seed_skipping();
        }
        require getcwd() . '/wp-load.php';
    }
    Reply::result($latchkey_verb['run'](is_array($latchkey['args'] ?? null) ? $latchkey['args'] : []));
} catch (ActionError $latchkey_error) {
    Reply::error($latchkey_error->reason, $latchkey_error->getMessage());
} catch (\Throwable $latchkey_error) {
    $latchkey_at = $latchkey_error->getFile() . ':' . $latchkey_error->getLine();
    Reply::error('fatal', $latchkey_error->getMessage() . " in $latchkey_at");
}
