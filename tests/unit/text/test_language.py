"""Languages by script and function words, on sentences of many and on what is no language."""

import pytest

from glider.text.language import language_of

TEXTS = {
    "en": "The report is clear and to the point, but it does not say what was measured or for whom.",
    "de": "Der Bericht ist klar, aber er sagt nicht, was gemessen wurde und für wen das wichtig ist.",
    "fr": "Le rapport est clair, mais il ne dit pas ce qui a été mesuré dans les tests ni pour qui.",
    "es": "El informe es claro, pero no dice lo que se midió en las pruebas ni para quién es útil.",
    "it": "Il rapporto è chiaro, ma non dice che cosa è stato misurato nella prova e per chi sono i dati.",
    "pt": "O relatório é claro, mas não diz o que foi medido nos testes e para quem os dados são úteis.",
    "nl": "Het verslag is duidelijk, maar er staat niet in wat er is gemeten en voor wie het is.",
    "pl": "Raport jest jasny, ale nie mówi, co zostało zmierzone w testach i dla kogo to jest ważne.",
    "cs": "Zpráva je jasná, ale neříká, co se měřilo v testech a pro koho jsou výsledky důležité.",
    "ro": "Raportul este clar, dar nu spune ce a fost măsurat în teste și pentru cine sunt datele.",
    "tr": "Rapor çok açık, ama ne ölçüldüğünü ve bu testlerin kimin için olduğunu söylemiyor ve bir özet de yok.",
    "vi": "Báo cáo này rõ ràng nhưng không nói những gì đã được đo trong các thử nghiệm và cho người nào.",
    "id": "Laporan ini jelas, tetapi tidak mengatakan apa yang diukur dalam pengujian dan untuk siapa itu.",
    "sv": "Rapporten är tydlig, men det står inte vad som har mätts i testerna och för vem den är.",
    "ru": "Отчёт понятен, но в нём не сказано, что было измерено и для кого эти данные важны.",
    "uk": "Звіт зрозумілий, але в ньому не сказано, що було виміряно і для кого ці дані важливі.",
    "zh": "报告很清楚，但没有说明测量了什么，也没有说明是为谁做的。",
    "ja": "報告書は分かりやすいが、何を測定したのか、誰のためなのかが書かれていない。",
    "ko": "보고서는 명확하지만 무엇을 측정했는지 누구를 위한 것인지 말하지 않는다.",
    "ar": "التقرير واضح لكنه لا يذكر ما الذي تم قياسه ولا لمن هذه البيانات مهمة.",
    "fa": "گزارش روشن است اما نمی‌گوید چه چیزی اندازه گیری شده و برای چه کسی مهم است.",
    "he": "הדוח ברור אבל הוא לא אומר מה נמדד ולמי הנתונים האלה חשובים.",
    "el": "Η έκθεση είναι σαφής, αλλά δεν λέει τι μετρήθηκε και για ποιον είναι σημαντικό.",
    "hi": "रिपोर्ट स्पष्ट है लेकिन यह नहीं बताती कि क्या मापा गया और किसके लिए।",
}  # fmt: skip


@pytest.mark.parametrize(("language", "text"), TEXTS.items())
def test_a_sentence_is_in_its_language(language, text):
    assert language_of(text) == language
    assert language_of(text.upper()) == language


@pytest.mark.parametrize(
    "text",
    [
        "", "Yes.", "42", "Paris", "Berlin, Hamburg, München, Köln, Frankfurt, Stuttgart, Dresden",
        "for (let i = 0; i < n; i++) { total += prices[i] * quantities[i]; }",
        "x = [0.1, 0.2]; y = sum(x)", "🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂", "lorem ipsum dolor sit amet consectetur adipiscing",
    ],
)  # fmt: skip
def test_what_tells_no_language_is_not_known(text):
    assert language_of(text) is None


def test_a_quote_in_another_language_does_not_decide():
    assert language_of(TEXTS["en"] * 2 + " He wrote: " + TEXTS["zh"]) == "en"
