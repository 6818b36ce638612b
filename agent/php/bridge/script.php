<?php
/**
 * The redeemer `script`: the last part of a file that actions/sso_script.php writes into a docroot for one hand-over.
 *
 * The file is for sites whose web server is not the operator's to configure. It holds all it needs (nothing outside the
 * docroot may be readable here) and no secret: of the token only a hash. Its own unlink is the burn, so of several at the
 * same time one gets in, also if PHP remembers a file that is gone. Then it presents the token to the agent like sso.php.
 * Where this PHP cannot reach the agent (chroot, disabled functions, an agent that is down) it goes on alone, for so
 * short a time that the second sweep after an end of access comes later. PHP 7.4.
 */

namespace Latchkey;

/** So many wrong tokens are one too many: the file removes itself. */
const WRONG_TOKENS_MAX = 10;
/** A session made alone is made in so short a time; the agent looks for such sessions again after 30 seconds. */
const ALONE_FOR_S = 20;

/** Stands in for the agent where it cannot be reached. Agrees for as long as the last sweep is still to come. */
final class Alone implements Counterpart
{
    /** @var int */
    private $since_ns;

    public function __construct()
    {
        $this->since_ns = hrtime(true);
    }

    public function ask(array $message): ?array
    {
        $in_time = hrtime(true) - $this->since_ns < ALONE_FOR_S * 1000000000;
        return ['ok' => $in_time, 'message' => 'The site took too long to start.'];
    }
}

/** Uses the file up; ends with a page unless the token is the right one, in time, and the first. */
function burn(string $token): void
{
    if (!hash_equals(LATCHKEY['token_hash'], hash('sha256', $token))) {
        count_wrong_token();
        refuse('This link does not work (any more).');
    }
    // What is too late is removed all the same.
    $removed = @unlink(__FILE__);
    if (time() >= LATCHKEY['expires_at']) {
        refuse('This link is too old. Links are good for a minute.');
    }
    if (!$removed) {
        refuse('This link was used already. Each link opens WP Admin once.');
    }
}

/** Counts in the file itself, behind the end of its code. Does not make it anew if it is gone. */
function count_wrong_token(): void
{
    $file = @fopen(__FILE__, 'r+b');
    if ($file === false || !flock($file, LOCK_EX) || fseek($file, 0, SEEK_END) !== 0) {
        return;
    }
    fwrite($file, '.');
    if (ftell($file) - __COMPILER_HALT_OFFSET__ >= WRONG_TOKENS_MAX) {
        @unlink(__FILE__);
    }
    fclose($file);
}

/** Whether there is an agent at the socket. */
function reach_agent(): ?Agent
{
    if (!function_exists('stream_socket_client')) {
        return null;
    }
    $agent = new Agent((string) LATCHKEY['socket']);
    return $agent->is_reached() ? $agent : null;
}

/** Burns the token of this request, and presents it where that is possible; ends with a page if that fails. */
function redeem(): Redemption
{
    $token = posted_token();
    burn($token);
    $agent = reach_agent();
    return $agent !== null ? present($agent, $token) : begin(new Alone(), LATCHKEY['granted']);
}

// In the global scope, because wp-config.php leaves its variables where it is included.
hold_output();
$latchkey_redemption = redeem();
prepare_wordpress('finish_redemption');
if (missing_wordpress(LATCHKEY['abspath']) === null) {
    require LATCHKEY['abspath'] . '/wp-load.php';
}
