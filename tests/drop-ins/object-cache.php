<?php
/**
 * An object cache as sites have one: what WordPress caches outlives the request, in one of several stores. A test puts it
 * into a site's wp-content with the store's name and place filled in. Only what WordPress itself needs.
 */

/** Where values are kept beyond a request. */
interface Latchkey_Store
{
    /** The text kept under a key, or false. */
    public function read(string $key);
    public function write(string $key, string $text): void;
    public function remove(string $key): void;
}

/** A file for each value. */
final class Latchkey_Files implements Latchkey_Store
{
    private $place;

    public function __construct(string $place)
    {
        $this->place = $place;
    }

    public function read(string $key)
    {
        return @file_get_contents($this->file($key));
    }

    public function write(string $key, string $text): void
    {
        $scratch = $this->file($key) . getmypid();
        file_put_contents($scratch, $text);
        rename($scratch, $this->file($key));
    }

    public function remove(string $key): void
    {
        @unlink($this->file($key));
    }

    private function file(string $key): string
    {
        return $this->place . '/' . sha1($key);
    }
}

/** The memory that the processes of a PHP pool share; other PHP has one of its own. */
final class Latchkey_Apcu implements Latchkey_Store
{
    private $place;

    public function __construct(string $place)
    {
        $this->place = $place;
    }

    public function read(string $key)
    {
        return apcu_fetch($this->place . $key);
    }

    public function write(string $key, string $text): void
    {
        apcu_store($this->place . $key, $text);
    }

    public function remove(string $key): void
    {
        apcu_delete($this->place . $key);
    }
}

/** A Redis at a Unix socket. */
final class Latchkey_Redis implements Latchkey_Store
{
    private $stream;

    public function __construct(string $place)
    {
        $this->stream = stream_socket_client("unix://$place", $number, $text, 2);
    }

    public function read(string $key)
    {
        return $this->ask('GET', $key);
    }

    public function write(string $key, string $text): void
    {
        $this->ask('SET', $key, $text);
    }

    public function remove(string $key): void
    {
        $this->ask('DEL', $key);
    }

    private function ask(string ...$words)
    {
        $text = '*' . count($words) . "\r\n";
        foreach ($words as $word) {
            $text .= '$' . strlen($word) . "\r\n$word\r\n";
        }
        fwrite($this->stream, $text);
        $line = (string) fgets($this->stream);
        if ($line[0] !== '$' || (int) substr($line, 1) < 0) {
            return false;
        }
        $length = (int) substr($line, 1);
        return substr((string) stream_get_contents($this->stream, $length + 2), 0, $length);
    }
}

final class Latchkey_Cache
{
    public $prefix = '';
    private $store;
    private $known = [];
    private $global = [];
    private $passing = [];

    public function __construct(Latchkey_Store $store)
    {
        $this->store = $store;
    }

    public function get($key, $group, $force, &$found)
    {
        $name = $this->name($key, $group);
        if (($force || !isset($this->known[$name])) && !isset($this->passing[$group])) {
            $text = $this->store->read($name);
            if ($text !== false) {
                $this->known[$name] = $text;
            }
        }
        $found = isset($this->known[$name]);
        return $found ? unserialize($this->known[$name]) : false;
    }

    public function set($key, $value, $group): bool
    {
        $name = $this->name($key, $group);
        $this->known[$name] = serialize($value);
        if (!isset($this->passing[$group])) {
            $this->store->write($name, $this->known[$name]);
        }
        return true;
    }

    public function delete($key, $group): bool
    {
        $name = $this->name($key, $group);
        unset($this->known[$name]);
        $this->store->remove($name);
        return true;
    }

    public function forget(): bool
    {
        $this->known = [];
        return true;
    }

    public function make_global(array $groups): void
    {
        $this->global += array_fill_keys($groups, true);
    }

    public function make_passing(array $groups): void
    {
        $this->passing += array_fill_keys($groups, true);
    }

    private function name($key, string $group): string
    {
        return DB_NAME . (isset($this->global[$group]) ? '' : $this->prefix) . ":$group:$key";
    }
}

function wp_cache_init()
{
    $GLOBALS['wp_object_cache'] = new Latchkey_Cache(new LATCHKEY_STORE('LATCHKEY_PLACE'));
}

function wp_cache_get($key, $group = '', $force = false, &$found = null)
{
    return $GLOBALS['wp_object_cache']->get($key, $group ?: 'default', $force, $found);
}

function wp_cache_set($key, $data, $group = '', $expire = 0)
{
    return $GLOBALS['wp_object_cache']->set($key, $data, $group ?: 'default');
}

function wp_cache_add($key, $data, $group = '', $expire = 0)
{
    wp_cache_get($key, $group, false, $found);
    return !wp_suspend_cache_addition() && !$found && wp_cache_set($key, $data, $group);
}

function wp_cache_replace($key, $data, $group = '', $expire = 0)
{
    wp_cache_get($key, $group, false, $found);
    return $found && wp_cache_set($key, $data, $group);
}

function wp_cache_delete($key, $group = '')
{
    return $GLOBALS['wp_object_cache']->delete($key, $group ?: 'default');
}

function wp_cache_incr($key, $offset = 1, $group = '')
{
    $value = max(0, (int) wp_cache_get($key, $group) + $offset);
    wp_cache_set($key, $value, $group);
    return $value;
}

function wp_cache_decr($key, $offset = 1, $group = '')
{
    return wp_cache_incr($key, -$offset, $group);
}

function wp_cache_flush()
{
    return $GLOBALS['wp_object_cache']->forget();
}

function wp_cache_close()
{
    return true;
}

function wp_cache_add_global_groups($groups)
{
    $GLOBALS['wp_object_cache']->make_global((array) $groups);
}

function wp_cache_add_non_persistent_groups($groups)
{
    $GLOBALS['wp_object_cache']->make_passing((array) $groups);
}

function wp_cache_switch_to_blog($blog_id)
{
    $GLOBALS['wp_object_cache']->prefix = "$blog_id:";
}
