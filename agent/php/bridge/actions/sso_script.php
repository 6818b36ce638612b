<?php
/**
 * sso_script.write and sso_script.remove: the one-use file of the redeemer `script`, in the docroot.
 *
 * Written for one WordPress user, who is looked up first, and after their baseline was taken. What is removed is a file
 * of ours only: by its name, by how it begins, and never through a link. See script.php for what it does.
 */

namespace Latchkey;

/** How such a file begins. */
const SCRIPT_MARK = '<?php /* Latchkey: opens WP Admin for one person, once, within a minute; removes itself. */';

/** opcache leaves files alone that are younger than the request, so none of these stays in its memory. */
const SCRIPT_AHEAD_S = 3600;

$is_name = static function ($name): bool {
    return is_string($name) && preg_match('/^latchkey-[0-9a-f]{32}\.php$/D', $name) === 1;
};

$is_ours = static function (string $name): bool {
    clearstatcache(true, $name);
    if (is_link($name) || !is_file($name)) {
        return false;
    }
    $start = (string) @file_get_contents($name, false, null, 0, strlen(SCRIPT_MARK));
    // A file that was being written when the power went may end within the mark.
    return strncmp($start, SCRIPT_MARK, strlen($start)) === 0;
};

/** The text of a script: what it is for, then what both redeemers share, then what it does. */
$compose = static function (array $constants): string {
    $text = SCRIPT_MARK . "\n\nnamespace Latchkey;\n\ndefine('Latchkey\\\\LATCHKEY', ['abspath' => __DIR__] + "
        . var_export($constants, true) . ");\n";
    foreach (['boot.php', 'accounts.php', 'redemption.php', 'script.php'] as $part) {
        $text .= substr((string) file_get_contents(dirname(__DIR__) . "/$part"), strlen('<?php'));
    }
    return $text . '__halt_compiler();';
};

$save = static function (string $name, string $text): void {
    $mask = umask(0077);
    $file = @fopen($name, 'xb');
    umask($mask);
    if ($file === false) {
        throw new ActionError('invalid', 'The docroot cannot be written to.');
    }
    $written = fwrite($file, $text) === strlen($text) && fflush($file);
    if (!fclose($file) || !$written || !touch($name, time() + SCRIPT_AHEAD_S)) {
        @unlink($name);
        throw new ActionError('invalid', 'The docroot cannot be written to; its disk or quota may be full.');
    }
};

return [
    'write' => ['wordpress' => true, 'run' => static function (array $args) use ($is_name, $compose, $save): array {
        $granted = $args['granted'] ?? null;
        $whole = $is_name($args['name'] ?? null)
            && preg_match('/^[0-9a-f]{64}$/D', (string) ($args['token_hash'] ?? '')) === 1
            && is_int($args['expires_at'] ?? null)
            && is_string($args['instance'] ?? null) && is_string($args['socket'] ?? null) && is_string($args['gateway'] ?? null)
            && is_int($granted['user']['id'] ?? null) && is_string($granted['user']['login'] ?? null)
            && is_int($granted['expires_at'] ?? null) && is_string($granted['mark'] ?? null);
        if (!$whole) {
            throw new ActionError('invalid', 'Expected a hand-over.');
        }
        $user = Accounts\member($granted['user']['id']);
        if ($user === null || $user->user_login !== $granted['user']['login']) {
            return ['mismatch' => $user === null ? 'user_missing' : 'login_changed'];
        }
        $written = [
            'baseline' => Accounts\baseline($user),
            'administrator' => Accounts\is_administrator($user),
            'path' => (string) parse_url(site_url('/'), PHP_URL_PATH),
        ];
        $save($args['name'], $compose(array_intersect_key($args, array_flip(
            ['token_hash', 'expires_at', 'instance', 'socket', 'gateway', 'granted']
        ))));
        return ['written' => $written];
    }],
    'remove' => ['wordpress' => false, 'run' => static function (array $args) use ($is_name, $is_ours): array {
        $names = $args['names'] ?? null;
        if (!is_array($names) || count(array_filter($names, $is_name)) !== count($names)) {
            throw new ActionError('invalid', 'Expected names to be a list of names of scripts.');
        }
        $removed = [];
        foreach ($names as $name) {
            if (!$is_ours($name)) {
                continue;
            }
            if (@unlink($name)) {
                $removed[] = $name;
            } elseif ($is_ours($name)) {
                throw new ActionError('invalid', "The file $name in the docroot cannot be removed.");
            }
        }
        return ['removed' => $removed];
    }],
];
