import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** As much JSON as cells and frames need: objects, strings and words. */
final class Json {
    private final byte[] text;
    private int at;

    Json(byte[] text) {
        this.text = text;
    }

    Object value() {
        if (text[at] == '{') return object();
        if (text[at] == '"') return string();
        while (at < text.length && text[at] >= 'a' && text[at] <= 'z') at++; // null, true, false
        return null;
    }

    private Map<String, Object> object() {
        Map<String, Object> members = new LinkedHashMap<>();
        at++;
        while (text[at] != '}') {
            String name = string();
            at++;
            members.put(name, value());
            if (text[at] == ',') at++;
        }
        at++;
        return members;
    }

    private String string() {
        StringBuilder letters = new StringBuilder();
        for (at++; text[at] != '"'; at++) {
            letters.append(text[at] == '\\' ? escaped() : (char) text[at]);
        }
        at++;
        return letters.toString();
    }

    private char escaped() {
        char letter = (char) text[++at];
        int simple = "bfnrt".indexOf(letter);
        if (simple >= 0) return "\b\f\n\r\t".charAt(simple);
        if (letter != 'u') return letter;
        at += 4;
        return (char) Integer.parseInt(new String(text, at - 3, 4, StandardCharsets.US_ASCII), 16);
    }

    static String quoted(String text) {
        StringBuilder line = new StringBuilder(text.length() + 2).append('"');
        for (int i = 0; i < text.length(); i++) {
            char letter = text.charAt(i);
            if (letter == '"' || letter == '\\') line.append('\\').append(letter);
            else if (letter >= ' ' && letter <= '~') line.append(letter);
            else line.append(String.format("\\u%04x", (int) letter));
        }
        return line.append('"').toString();
    }
}
