<?php
/**
 * The one-use files of the redeemer `script` in a docroot: how they are made, known again, and removed.
 *
 * Used by the actions of bridge.php, in the docroot. Looks at files only. What is removed is a file of ours: by its name,
 * by how it begins, and never through a link. See script.php for what such a file does. PHP 7.4.
 */

namespace Latchkey\Scripts;

use Latchkey\ActionError;

/** How such a file begins. */
const MARK = '<?php /* Latchkey: opens WP Admin for one person, once, within a minute; removes itself. */';

/** What its name ends in until all of it is written. */
const UNFINISHED = '.new';

/** opcache leaves files alone that are younger than the request, so none of these stays in its memory. */
const AHEAD_S = 3600;

/** @param mixed $name */
function is_name($name): bool
{
    return is_string($name) && preg_match('/^latchkey-[0-9a-f]{32}\.php$/D', $name) === 1;
}

/** Removes files of ours, and tells which of them were there. Safe to repeat. */
function remove(array $names): array
{
    if (count(array_filter($names, __NAMESPACE__ . '\\is_name')) !== count($names)) {
        throw new ActionError('invalid', 'Expected names of scripts.');
    }
    $removed = [];
    foreach ($names as $name) {
        // In this order: a file that gets its name in between is found under it.
        $was_new = unlink_ours($name . UNFINISHED);
        if (unlink_ours($name) || $was_new) {
            $removed[] = $name;
        }
    }
    return $removed;
}

function unlink_ours(string $name): bool
{
    if (!is_ours($name)) {
        return false;
    }
    if (@unlink($name)) {
        return true;
    }
    if (is_ours($name)) {
        throw ActionError::of_files("The file $name in the docroot cannot be removed.");
    }
    return false;
}

function is_ours(string $name): bool
{
    clearstatcache(true, $name);
    if (is_link($name) || !is_file($name)) {
        return false;
    }
    $start = (string) @file_get_contents($name, false, null, 0, strlen(MARK));
    // A file that was being written when the power went may end within the mark.
    return strncmp($start, MARK, strlen($start)) === 0;
}

/** The text of a script: what it is for, then what both redeemers share, then what it does. */
function compose(array $constants): string
{
    $text = MARK . "\n\nnamespace Latchkey;\n\ndefine('Latchkey\\\\LATCHKEY', ['abspath' => __DIR__] + "
        . var_export($constants, true) . ");\n";
    foreach (['boot.php', 'accounts.php', 'redemption.php', 'script.php'] as $part) {
        $text .= substr((string) file_get_contents(__DIR__ . "/$part"), strlen('<?php'));
    }
    return $text . '__halt_compiler();';
}

/** Puts the whole file into place at once. Whoever removes it, under either name, keeps it from coming back. */
function save(string $name, string $text): void
{
    $new = $name . UNFINISHED;
    $mask = umask(0077);
    $file = @fopen($new, 'xb');
    umask($mask);
    if ($file === false) {
        throw ActionError::of_files('The docroot cannot be written to.');
    }
    $written = fwrite($file, $text) === strlen($text) && fflush($file);
    if (!fclose($file) || !$written || !touch($new, time() + AHEAD_S) || !@rename($new, $name)) {
        $error = ActionError::of_files('The docroot cannot be written to.');
        @unlink($new);
        throw $error;
    }
}
