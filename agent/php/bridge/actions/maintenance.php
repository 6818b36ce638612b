<?php
/**
 * maintenance.show and maintenance.set: WordPress's own maintenance page, lasting, with the ways in left open.
 *
 * Works on the file `.maintenance` in the docroot alone, so also while WordPress does not start. Core and plugin updates
 * use the same file: theirs is left alone for as long as WordPress itself would believe it (ten minutes).
 */

namespace Latchkey;

const MAINTENANCE_FILE = '.maintenance';
const MAINTENANCE_MARK = '<?php /* Latchkey: maintenance mode */';
const MAINTENANCE_FOREIGN_LIFE_S = 600;

/** What WordPress includes at the start of every request; an old $upgrading lets the request through. */
const MAINTENANCE_CODE = MAINTENANCE_MARK . <<<'PHP'

$upgrading = time();
$latchkey_script = isset($_SERVER['SCRIPT_NAME']) ? (string) $_SERVER['SCRIPT_NAME'] : '';
$latchkey_open = strpos($latchkey_script, '/wp-admin/') !== false
    || basename($latchkey_script) === 'wp-login.php'
    || (isset($_SERVER['REQUEST_URI']) && strpos((string) $_SERVER['REQUEST_URI'], '/.well-known/latchkey-sso') === 0);
foreach (array_keys($_COOKIE) as $latchkey_cookie) {
    $latchkey_open = $latchkey_open || strpos((string) $latchkey_cookie, 'wordpress_logged_in_') === 0;
}
if ($latchkey_open) {
    $upgrading = 0;
}
unset($latchkey_script, $latchkey_open, $latchkey_cookie);

PHP;

$is_there = static function (): bool {
    clearstatcache();
    return is_link(MAINTENANCE_FILE) || file_exists(MAINTENANCE_FILE);
};

$is_ours = static function (): bool {
    return is_file(MAINTENANCE_FILE)
        && (string) @file_get_contents(MAINTENANCE_FILE, false, null, 0, strlen(MAINTENANCE_MARK)) === MAINTENANCE_MARK;
};

$refuse_foreign = static function () use ($is_there, $is_ours): void {
    if ($is_there() && !$is_ours() && time() - (int) lstat(MAINTENANCE_FILE)['mtime'] < MAINTENANCE_FOREIGN_LIFE_S) {
        throw new ActionError('conflict', 'WordPress or a plugin is being updated just now; try again in ten minutes.');
    }
};

$enable = static function (): void {
    $temporary = MAINTENANCE_FILE . '.' . bin2hex(random_bytes(8));
    $file = @fopen($temporary, 'xb');
    if ($file === false) {
        throw ActionError::of_files('The docroot cannot be written to.');
    }
    $written = fwrite($file, MAINTENANCE_CODE) === strlen(MAINTENANCE_CODE) && fflush($file);
    if (function_exists('fsync')) {
        $written = $written && fsync($file);
    }
    fclose($file);
    if (!$written || !@rename($temporary, MAINTENANCE_FILE)) {
        @unlink($temporary);
        throw ActionError::of_files('The file .maintenance cannot be written.');
    }
};

$disable = static function () use ($is_there): void {
    if ($is_there() && !@unlink(MAINTENANCE_FILE)) {
        throw ActionError::of_files('The file .maintenance cannot be removed.');
    }
};

$show = static function () use ($is_there): array {
    return ['enabled' => $is_there()];
};

return [
    'show' => ['wordpress' => false, 'run' => $show],
    'set' => ['wordpress' => false, 'run' => static function (array $args) use ($show, $refuse_foreign, $enable, $disable): array {
        if (!is_bool($args['enabled'] ?? null)) {
            throw new ActionError('invalid', 'Expected enabled to be true or false.');
        }
        $refuse_foreign();
        if ($args['enabled']) {
            $enable();
        } else {
            $disable();
        }
        return $show();
    }],
];
