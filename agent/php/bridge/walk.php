<?php
/**
 * A walk through folders in which a site's code runs, naming what changed in them since a moment.
 *
 * Works on files alone, so also while WordPress does not start. The tree may be hostile: no link is followed, nothing is
 * opened but a regular .user.ini, and entries, depth and time are bounded. Where a bound is hit or a folder cannot be read
 * that is told, because what was not looked at is not known to be clean. PHP 7.4.
 */

namespace Latchkey;

/** Parts of a file name of which one is enough: Apache runs evil.php.jpg where a handler is added by extension. */
const CODE_EXTENSIONS = ['php', 'php3', 'php4', 'php5', 'php6', 'php7', 'php8', 'phtml', 'pht', 'phps', 'phar', 'inc',
    'shtml', 'cgi', 'fcgi', 'pl', 'py', 'rb', 'sh', 'so'];

/** Files that tell PHP or the web server what to run. They count in every folder down to the docroot, too. */
const SETTINGS = ['.user.ini' => 'user_ini', 'php.ini' => 'user_ini', '.htaccess' => 'htaccess'];

/** Files in wp-content that WordPress loads by their name alone. */
const DROP_INS = ['advanced-cache.php', 'blog-deleted.php', 'blog-inactive.php', 'blog-suspended.php', 'db.php',
    'db-error.php', 'fatal-error-handler.php', 'install.php', 'maintenance.php', 'object-cache.php', 'php-error.php',
    'sunrise.php'];

/** Folders deeper than this are not looked into. */
const DEEPEST = 64;
/** So many places are told, and so many names in each; how many there are in all is told as well. */
const MOST_PLACES = 200;
const MOST_NAMES = 5;
/** So many folders that could not be looked into are named. */
const MOST_PROBLEMS = 20;
/** No more than this is read of a settings file. */
const SETTINGS_MAX_BYTES = 65536;

final class Walk
{
    /** @var int */
    private $since;
    /** @var int entries that may still be looked at */
    private $room;
    /** @var int entries of one folder, so that a single full one does not hide the others */
    private $room_in_folder;
    /** @var float */
    private $until;
    /** @var string[] */
    private $content;
    /** @var array<string, array> */
    private $places = [];
    /** @var array<int, array> */
    private $problems = [];
    /** @var array<string, true> */
    private $seen = [];
    /** @var array<string, string> folders behind older links, by what they are */
    private $behind_links = [];
    /** @var bool */
    private $stopped = false;

    /** @param string[] $content the folders that WordPress calls wp-content */
    public function __construct(int $since, array $content, int $entries, int $ms)
    {
        $this->since = $since;
        $this->content = $content;
        $this->room = $entries;
        $this->room_in_folder = max(1, intdiv($entries, 4));
        $this->until = microtime(true) + $ms / 1000;
    }

    /** Looks through folders and all folders in them, those near the top first. */
    public function through(array $roots): void
    {
        $waiting = [];
        foreach ($roots as $root) {
            $waiting[] = [$root, 0];
            if (@lstat($root) === false && !is_absent($root)) {
                $this->problem('unreadable', $root);
            }
        }
        for ($next = 0; isset($waiting[$next]) && !$this->stopped; $next++) {
            [$folder, $depth] = $waiting[$next];
            unset($waiting[$next]);
            foreach ($this->folder($folder) as $below) {
                if ($depth + 1 > DEEPEST) {
                    $this->problem('too_deep', $folder);
                    break;
                }
                $waiting[] = [$below, $depth + 1];
            }
        }
    }

    /** Looks at files of these names in a folder, and at nothing else in it. */
    public function names(string $folder, array $names): void
    {
        foreach ($names as $name) {
            $this->entry($folder, $name);
        }
    }

    /** What was found, in the order of paths, and what was not looked at. */
    public function report(): array
    {
        ksort($this->places);
        foreach (array_diff_key($this->behind_links, $this->seen) as $link) {
            $this->problem('link', $link);
        }
        $told = array_slice(array_values($this->places), 0, MOST_PLACES);
        return ['places' => $told, 'places_in_all' => count($this->places), 'problems' => $this->problems];
    }

    /** Looks at the entries of a folder; answers with the folders in it. */
    private function folder(string $path): array
    {
        $found = @lstat($path);
        // Mounts may show a folder twice.
        if ($found === false || isset($this->seen[identity($found)])) {
            return [];
        }
        $this->seen[identity($found)] = true;
        $handle = @opendir($path);
        // Without the right to search, names can be read and nothing else.
        if ($handle === false || !is_executable($path)) {
            $this->problem('unreadable', $path);
            return [];
        }
        $folders = [];
        $left = $this->room_in_folder;
        while (($name = readdir($handle)) !== false) {
            if ($name === '.' || $name === '..') {
                continue;
            }
            if ($this->room-- <= 0 || ($this->room % 64 === 0 && microtime(true) > $this->until)) {
                $this->problem('bound', $path);
                $this->stopped = true;
                break;
            }
            if ($left-- <= 0) {
                $this->problem('bound', $path);
                break;
            }
            if ($this->entry($path, (string) $name)) {
                $folders[] = "$path/$name";
            }
        }
        closedir($handle);
        return $folders;
    }

    /** Keeps an entry if it changed since; answers whether it is a folder. */
    private function entry(string $folder, string $name): bool
    {
        $found = @lstat("$folder/$name");
        if ($found === false) {
            return false;
        }
        $type = $found['mode'] & 0170000;
        if ($type === 0040000) {
            return true;
        }
        if ($type === 0120000 && $found['ctime'] < $this->since) {
            $found = $this->behind("$folder/$name");
            $type = 0100000;
        }
        // The inode's own time, not the content's: anybody may set the latter, with touch, to what it was. Nobody but
        // root sets the former, and renaming or linking an older file to a new name changes it as well.
        $kind = $found['ctime'] >= $this->since ? $this->kind($folder, $name, $type) : null;
        if ($kind !== null) {
            $this->keep($kind, $folder, $name, (int) $found['ctime'], $type === 0100000);
        }
        return false;
    }

    /** What an older link leads to: a file counts as the link's own, a folder has to be among those looked through. */
    private function behind(string $link): array
    {
        $found = @stat($link);
        if ($found === false) {
            return ['ctime' => PHP_INT_MIN];
        }
        if (($found['mode'] & 0170000) !== 0040000) {
            return $found;
        }
        $this->behind_links += [identity($found) => $link];
        return ['ctime' => PHP_INT_MIN];
    }

    private function kind(string $folder, string $name, int $type): ?string
    {
        if ($type === 0120000) {
            return 'link';
        }
        $lower = strtolower($name);
        if (isset(SETTINGS[$lower])) {
            return SETTINGS[$lower];
        }
        if (array_intersect(array_slice(explode('.', $lower), 1), CODE_EXTENSIONS) === []) {
            return null;
        }
        foreach ($this->content as $content) {
            if ($folder === $content && in_array($lower, DROP_INS, true)) {
                return 'drop_in';
            }
            if (strpos("$folder/", "$content/mu-plugins/") === 0) {
                return 'mu_plugin';
            }
        }
        return 'php_file';
    }

    private function keep(string $kind, string $folder, string $name, int $changed_at, bool $regular): void
    {
        $place = $this->place($folder);
        $known = $this->places["$place $kind"] ?? ['kind' => $kind, 'folder' => shown($place), 'count' => 0,
            'changed_at' => 0, 'names' => []];
        $known['count']++;
        $known['changed_at'] = max($known['changed_at'], $changed_at);
        if (count($known['names']) < MOST_NAMES) {
            $path = "$folder/$name";
            $known['names'][] = ['path' => shown($path)]
                + ($kind === 'link' ? ['to' => printable((string) @readlink($path))] : [])
                + ($kind === 'user_ini' && $regular ? ['runs' => auto_run_files($path)] : []);
        }
        $this->places["$place $kind"] = $known;
    }

    /** What somebody would put right at once: a whole plugin, theme or part of WordPress, otherwise the folder itself. */
    private function place(string $folder): string
    {
        $docroot = (string) getcwd();
        $wholes = ["$docroot/wp-admin" => 0, "$docroot/wp-includes" => 0];
        foreach ($this->content as $content) {
            $wholes += ["$content/languages" => 0, "$content/mu-plugins" => 1, "$content/plugins" => 1, "$content/themes" => 1];
        }
        foreach ($wholes as $whole => $parts) {
            if (strpos("$folder/", "$whole/") === 0) {
                $below = array_slice(explode('/', substr($folder, strlen($whole) + 1)), 0, $parts);
                return rtrim("$whole/" . implode('/', $below), '/');
            }
        }
        return $folder;
    }

    private function problem(string $reason, string $path): void
    {
        if (count($this->problems) < MOST_PROBLEMS) {
            $this->problems[] = ['reason' => $reason, 'path' => shown($path)];
        }
    }
}

/** What names a file or folder on this node, whatever it is called. */
function identity(array $found): string
{
    return "{$found['dev']}:{$found['ino']}";
}

/** Whether there is nothing at a path, rather than nothing that may be seen. */
function is_absent(string $path): bool
{
    while (@lstat($path) === false && dirname($path) !== $path) {
        $path = dirname($path);
    }
    return is_executable($path);
}

/** A path as people read it: beneath the home, relative to it. */
function shown(string $path): string
{
    $home = getenv('HOME') . '/';
    return printable(strpos($path, $home) === 0 ? substr($path, strlen($home)) : $path);
}

/** The first bytes of a regular file; null if it is none or cannot be read. Does not wait for the end of a pipe. */
function read_regular(string $path, int $most): ?string
{
    $file = @fopen($path, 'rbn');
    if ($file === false) {
        return null;
    }
    $regular = (((array) fstat($file))['mode'] & 0170000) === 0100000;
    $text = $regular ? stream_get_contents($file, $most) : false;
    fclose($file);
    return $text === false ? null : $text;
}

/** What a settings file makes PHP run before and after every script. */
function auto_run_files(string $path): string
{
    $text = (string) read_regular($path, SETTINGS_MAX_BYTES);
    preg_match_all('/^[ \t]*auto_(?:prepend|append)_file[ \t]*=[ \t]*([^\r\n]*)/mi', $text, $found);
    return printable(implode(', ', array_slice($found[1], 0, 2)), 200);
}

/** Bytes as text on one line, with nothing lost: what is no printable UTF-8 becomes \xNN. Long text loses its middle. */
function printable(string $bytes, int $most = 250): string
{
    if (strlen($bytes) > $most) {
        $bytes = substr($bytes, 0, intdiv($most, 2)) . '[...]' . substr($bytes, -intdiv($most, 2));
    }
    $escape = static function (array $found): string {
        return $found[0] === '\\' ? '\\\\' : '\\x' . implode('\\x', str_split(strtoupper(bin2hex($found[0])), 2));
    };
    $pattern = '/(?:[\x20-\x5B\x5D-\x7E]|[\xC2-\xDF][\x80-\xBF]|\xE0[\xA0-\xBF][\x80-\xBF]'
        . '|[\xE1-\xEC\xEE\xEF][\x80-\xBF]{2}|\xED[\x80-\x9F][\x80-\xBF]|\xF0[\x90-\xBF][\x80-\xBF]{2}'
        . '|[\xF1-\xF3][\x80-\xBF]{3}|\xF4[\x80-\x8F][\x80-\xBF]{2})+(*SKIP)(*FAIL)|./s';
    $text = (string) preg_replace_callback($pattern, $escape, $bytes);
    // Letters that turn the direction of a line or take no room could make a name look like another.
    $unseen = '/[\x{80}-\x{9F}\x{200B}-\x{200F}\x{2028}-\x{202E}\x{2060}-\x{206F}\x{FEFF}]/u';
    return (string) preg_replace_callback($unseen, $escape, $text);
}
