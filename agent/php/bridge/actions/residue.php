<?php
/**
 * residue.before and residue.left: what a hosting had when a share was first used, and what is there since.
 *
 * Works on files alone, so also while WordPress does not start. Lines of authorized_keys are known by hash. PHP 7.4.
 */

namespace Latchkey;

require_once dirname(__DIR__) . '/walk.php';

/** Where sshd looks for keys, relative to the home. */
const KEY_FILES = ['.ssh/authorized_keys', '.ssh/authorized_keys2'];
const KEY_FILE_MAX_BYTES = 262144;
const KEY_LINES_MAX = 2000;

/** The lines of a file of keys by their hashes; null when that cannot be known. */
$read_keys = static function (string $file): ?array {
    $path = getenv('HOME') . "/$file";
    if (@lstat($path) === false) {
        return is_absent($path) ? [] : null;
    }
    $text = read_regular($path, KEY_FILE_MAX_BYTES + 1);
    if ($text === null || strlen($text) > KEY_FILE_MAX_BYTES) {
        return null;
    }
    $lines = [];
    foreach (explode("\n", $text) as $line) {
        $line = trim($line);
        if ($line !== '' && $line[0] !== '#') {
            $lines[substr(hash('sha256', $line), 0, 32)] = $line;
        }
    }
    return count($lines) > KEY_LINES_MAX ? null : $lines;
};

/** A key as ssh-keygen -l would name it. */
$describe_key = static function (string $line): string {
    $is_key = preg_match('~(?:^|[\s"])((?:ssh|ecdsa|sk)-[A-Za-z0-9@.-]+)\s+([A-Za-z0-9+/]+=*)(?:\s+(.*))?$~s', $line, $parts);
    if ($is_key !== 1) {
        return 'a line that is no key: ' . printable($line, 80);
    }
    $fingerprint = rtrim(base64_encode(hash('sha256', (string) base64_decode($parts[2]), true)), '=');
    return trim("{$parts[1]} SHA256:$fingerprint " . printable($parts[3] ?? '', 80));
};

return [
    'before' => ['wordpress' => false, 'run' => static function () use ($read_keys): array {
        $keys = [];
        foreach (KEY_FILES as $file) {
            $lines = $read_keys($file);
            $keys[$file] = $lines === null ? null : array_map('strval', array_keys($lines));
        }
        return ['keys' => $keys];
    }],
    'left' => ['wordpress' => false, 'run' => static function (array $args) use ($read_keys, $describe_key): array {
        foreach (['since', 'entries', 'ms'] as $number) {
            if (!is_int($args[$number] ?? null)) {
                throw new ActionError('invalid', "Expected $number to be a number.");
            }
        }
        $known = (array) ($args['keys'] ?? []);
        $keys = [];
        $unread = [];
        foreach (KEY_FILES as $file) {
            $lines = $read_keys($file);
            if ($lines === null) {
                $unread[] = $file;
                continue;
            }
            foreach (array_diff_key($lines, array_flip((array) ($known[$file] ?? []))) as $line) {
                $keys[] = ['file' => $file, 'key' => $describe_key((string) $line)];
            }
        }
        $docroot = (string) getcwd();
        $elsewhere = [];
        foreach ((array) ($args['folders'] ?? []) as $folder) {
            // A site says this; a folder that holds the docroot is not one of its content.
            $usable = is_string($folder) && preg_match('~^/[^/\0]~', $folder) === 1;
            $real = $usable ? (string) (@realpath($folder) ?: rtrim($folder, '/')) : $docroot;
            if (strpos("$docroot/", "$real/") !== 0) {
                $elsewhere[] = $real;
            }
        }
        $content = array_merge(["$docroot/wp-content"], $elsewhere);
        $walk = new Walk($args['since'], $content, $args['entries'], $args['ms']);
        $home = (string) getenv('HOME');
        for ($above = $docroot; $above !== $home && strpos("$above/", "$home/") === 0;) {
            $above = dirname($above);
            $walk->names($above, array_merge(array_keys(SETTINGS), ['wp-config.php']));
        }
        $walk->through(array_merge([$docroot], $elsewhere));
        return ['keys' => array_slice($keys, 0, 100), 'keys_in_all' => count($keys), 'keys_unread' => $unread] + $walk->report();
    }],
];
