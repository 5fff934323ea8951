"""Everyday English phrases: hand-written sentences, and a small template grammar.

`GENERATORS` are functions taking a `random.Random` and returning one sentence as it would be typed (capitals and
punctuation included, numbers as words). `FIXED` are complete sentences for training. `HELD_OUT` are complete
sentences used only for testing; `1_text.py` removes them from every training text.
"""

ONES = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen").split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
ORD_ONES = ("zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
            "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth").split()
MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
NAMES = ("John Mary Peter Susan David Anna James Robert Michael William Richard Thomas Charles Daniel Paul Mark George "
         "Steven Edward Brian Kevin Jason Laura Sarah Karen Lisa Nancy Helen Sandra Emily Emma Alice Jane Julia Kate Lucy "
         "Sophie Grace Henry Jack Sam Tom Ben Alex Chris Martin Simon Andrew Frank Oliver Harry Charlie Jessica Amy "
         "Rachel Rebecca Hannah Maria Linda Barbara Elizabeth Margaret Ruth Nick Tim Tony Joe Bill Bob Max Leo Ella").split()
PLACES = ("London Paris New_York Boston Chicago Berlin Rome Madrid Tokyo Sydney Dublin Edinburgh Manchester Oxford "
          "Cambridge California Texas Florida Washington Seattle Canada France Germany Spain Italy China Japan India "
          "Australia England Scotland Ireland America Africa Europe Mexico Brazil Russia Egypt Amsterdam Vienna "
          "San_Francisco Los_Angeles").replace("_", "~").split()
ROOMS = "kitchen bedroom living~room bathroom office garden hall garage dining~room hallway basement front~door back~door".split()
THINGS = ("book car house phone computer table chair door window key bag coat hat shoe shirt dress cup glass plate knife "
          "fork spoon bottle box letter paper pen pencil picture camera clock watch bed lamp radio television bicycle boat "
          "train bus plane ticket map ball toy guitar piano dog cat bird horse fish cow sheep apple orange banana egg "
          "cake sandwich pizza chicken soup salad bread cheese milk coffee tea water juice wine beer sugar salt butter rice "
          "tree flower garden park river lake mountain beach island road street bridge city town village farm school "
          "college office hospital hotel restaurant library museum theatre station airport church bank shop store market "
          "kitchen bedroom bathroom floor wall roof stairs fire light newspaper magazine story song movie film game "
          "question answer problem idea plan list number name word sentence message email photo video file folder "
          "screen keyboard mouse printer battery engine wheel machine tool hammer nail rope blanket pillow towel soap "
          "brush mirror jacket sweater sock glove umbrella suitcase wallet ring present card stamp package bill "
          "report meeting project contract budget team company job desk").split()
PLURALS = ("books cars houses phones computers tables chairs doors windows keys bags shoes shirts cups glasses plates bottles boxes "
           "letters papers pens pictures clocks beds boats trains buses planes tickets maps toys dogs cats birds horses cows "
           "apples oranges bananas eggs cakes sandwiches tomatoes potatoes trees flowers mountains roads streets "
           "bridges cities schools offices hotels shops stories songs movies films games questions answers problems ideas plans "
           "words messages emails photos videos files children students teachers doctors friends people men women boys girls "
           "parents workers farmers players neighbours visitors guests customers minutes hours days weeks months years").split()
PEOPLE = ("man woman boy girl child baby teacher student doctor nurse driver farmer cook waiter police~officer soldier king "
          "queen friend neighbour brother sister mother father uncle aunt cousin grandmother grandfather son daughter "
          "husband wife boss worker manager lawyer judge writer singer artist actor player captain pilot engineer "
          "scientist president minister customer guest visitor stranger captain").split()
ADJ = ("big small large little old new young good bad happy sad angry tired hungry thirsty hot cold warm cool wet dry clean "
       "dirty fast slow quick early late long short tall high low wide narrow thick thin heavy light dark bright loud quiet "
       "strong weak rich poor cheap expensive easy hard difficult simple beautiful ugly pretty nice kind friendly lovely "
       "funny serious strange normal famous popular important useful safe dangerous empty full open closed broken "
       "free busy ready careful lucky brave clever smart stupid lazy wonderful terrible perfect fresh sweet bitter soft "
       "round square flat deep red blue green yellow black white brown grey orange purple pink golden silver wooden "
       "right wrong true false different same special modern ancient local foreign public private healthy sick").split()
ADV = ("slowly quickly quietly loudly carefully easily suddenly finally usually often sometimes never always soon again "
       "together alone early late now today tonight tomorrow yesterday outside inside upstairs downstairs there here "
       "everywhere really very~well very~much too~much once twice every~day last~night last~week next~week next~year "
       "this~morning this~afternoon this~evening in~the~morning in~the~evening at~night after~lunch before~dinner "
       "on~Monday on~Friday at~the~weekend for~a~long~time all~day right~away").split()
VERBS = ("see find buy sell open close carry hold bring take give show keep lose break fix clean wash use want need like love "
         "hate remember forget draw paint move push pull drop lift hide build cut send read write check watch choose leave "
         "order count finish start return borrow share describe explain change save").split()
PAST = ("saw found bought sold opened closed carried held brought took gave~away kept lost broke fixed cleaned washed used wanted "
        "needed liked loved remembered forgot drew painted moved pushed pulled dropped lifted built cut sent read wrote "
        "checked watched chose left ordered counted finished started returned borrowed shared described changed saved "
        "heard noticed touched followed passed reached").split()
GOING = ("go~home go~to~bed go~to~school go~to~work go~shopping go~for~a~walk eat~dinner have~lunch make~breakfast cook~dinner "
         "take~a~shower take~the~bus catch~the~train drive~to~work walk~the~dog feed~the~cat wash~the~dishes clean~the~house "
         "do~the~laundry do~my~homework read~a~book write~a~letter listen~to~music watch~a~movie watch~the~news play~football "
         "play~tennis play~the~piano play~a~game call~my~mother visit~my~parents meet~some~friends pay~the~bill buy~some~bread "
         "buy~some~milk get~some~sleep take~a~break take~a~picture open~the~window close~the~door turn~off~the~light "
         "learn~English study~history work~late stay~at~home travel~by~train fly~to~Paris see~the~doctor wait~for~the~bus "
         "wake~up~early get~up~at~seven save~some~money find~a~job ask~a~question answer~the~phone send~an~email "
         "book~a~table book~a~room make~a~list plan~a~trip speak~to~the~manager sit~down stand~up come~in "
         "swim~in~the~sea climb~the~mountain sing~a~song dance~all~night tell~a~story keep~a~secret").split()
WEATHER = "sunny rainy cloudy windy snowy foggy cold warm hot nice terrible beautiful freezing stormy".split()
FOODS = ("coffee tea milk water orange~juice soup bread cheese rice chicken fish eggs fruit vegetables chocolate cake "
         "ice~cream pizza pasta salad a~sandwich an~apple some~sugar salt butter honey potatoes tomatoes").split()
UNITS = "minutes hours days weeks months years miles kilometres metres feet inches pounds dollars euros people pages steps degrees percent".split()
GREET = "hello hi good~morning good~afternoon good~evening hey welcome thanks thank~you sorry excuse~me please yes no okay well".split()


def number(rng, n):
    """Cardinal number in words, with or without the British "and"."""
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10 - 2] + (" " + ONES[n % 10] if n % 10 else "")
    if n < 1000:
        rest = n % 100
        joint = " and " if rng.random() < 0.5 else " "
        return ONES[n // 100] + " hundred" + (joint + number(rng, rest) if rest else "")
    if n < 1_000_000:
        rest = n % 1000
        joint = " and " if 0 < rest < 100 and rng.random() < 0.5 else " "
        return number(rng, n // 1000) + " thousand" + (joint + number(rng, rest) if rest else "")
    rest = n % 1_000_000
    return number(rng, n // 1_000_000) + " million" + (" " + number(rng, rest) if rest else "")


def ordinal(n):
    if n < 20:
        return ORD_ONES[n]
    if n % 10:
        return TENS[n // 10 - 2] + " " + ORD_ONES[n % 10]
    return TENS[n // 10 - 2][:-1] + "ieth"


def year(rng):
    n = rng.randint(1800, 2039)
    if 2000 <= n < 2010:
        return "two thousand" + (rng.choice([" ", " and "]) + ONES[n % 10] if n % 10 else "")
    if n >= 2010 and rng.random() < 0.3:
        return "two thousand " + rng.choice(["", "and "]) + number(rng, n % 100)
    low = n % 100
    tail = "hundred" if low == 0 else ("oh " + ONES[low] if low < 10 else number(rng, low))
    return number(rng, n // 100) + " " + tail


def clock(rng):
    h = number(rng, rng.randint(1, 12))
    k = rng.randrange(9)
    m = rng.randint(1, 59)
    minutes = ("oh " if m < 10 else "") + number(rng, m)
    return [h + " o'clock", "half past " + h, "quarter past " + h, "quarter to " + h, h + " " + minutes, h + " thirty",
            h + " in the " + rng.choice(["morning", "afternoon", "evening"]),
            number(rng, rng.choice([5, 10, 20, 25])) + " " + rng.choice(["past", "to"]) + " " + h,
            h + " " + rng.choice(["fifteen", "forty five", "ten", "twenty"])][k]


def date(rng):
    d, m = ordinal(rng.randint(1, 31)), rng.choice(MONTHS)
    k = rng.randrange(4)
    return [f"the {d} of {m}", f"{m} {d}", f"{rng.choice(DAYS)} the {d} of {m}", f"{m} {d} {year(rng)}"][k]


def any_number(rng):
    return number(rng, rng.choice([rng.randint(0, 20), rng.randint(0, 99), rng.randint(0, 999), rng.randint(0, 9999),
                                   rng.randint(0, 99999), rng.randint(1, 9) * 10 ** rng.randint(1, 7)]))


def digits(rng):
    return " ".join(rng.choice(ONES[:10]) for _ in range(rng.randint(3, 10)))


SLOTS = {
    "name": NAMES, "place": PLACES, "room": ROOMS, "thing": THINGS, "things": PLURALS, "person": PEOPLE, "adj": ADJ,
    "adv": ADV, "verb": VERBS, "past": PAST, "going": GOING, "weather": WEATHER, "food": FOODS, "unit": UNITS, "greet": GREET,
    "day": DAYS, "month": MONTHS,
    "pro": "I you we they".split(), "proall": "I you we they he she".split(), "he": "he she".split(),
    "obj": "me you him her us them it".split(), "poss": "my your his her our their".split(),
    "det": "the a my your his her our their this that".split(), "detp": "the these those my your some many two three all".split(),
    "modal": "can could will would should must might may".split(), "neg": "can't won't don't couldn't shouldn't wouldn't didn't".split(),
    "prep": "in on under behind near beside into from with without over across around through".split(),
    "wh": "what when where why how who".split(), "do": "do did".split(),
    "num": lambda r: number(r, r.choice([r.randint(2, 12), r.randint(2, 99), r.randint(100, 999)])),
    "small": lambda r: number(r, r.randint(2, 60)), "big": any_number, "clock": clock, "date": date, "year": year,
    "digits": digits, "ord": lambda r: ordinal(r.randint(1, 31)),
}

TEMPLATES = """
{greet}, how are you?|{greet}, how are you today?|{greet} {name}, how are you doing?|{greet}, my name is {name}.|{greet} {name}, nice to meet you.
Good morning, {name}.|Good night, {name}.|Thank you very much, {name}.|Thanks for {poss} help.|See you {adv}.|See you on {day}.
Turn on the {room} lights.|Turn off the {room} light.|Switch on the {thing}.|Switch off the {thing} in the {room}.|Set a timer for {small} minutes.
Set an alarm for {clock}.|Wake me up at {clock}.|Remind me to {going} at {clock}.|Remind me to {going} {adv}.|Remind me to call {name} on {date}.
Set the temperature to {small} degrees.|Play some music.|Play the next song.|Stop the music.|Turn the volume up.|Turn down the volume, please.
What time is it?|What time is it in {place}?|What is the weather like in {place}?|What is the weather like today?|Will it be {weather} tomorrow?
It will be {weather} {adv}.|It is {weather} in {place} today.|The weather is {weather}.|How far is it to {place}?|How long does it take to get to {place}?
Call {name}.|Call {name} {adv}.|Call {poss} {person} at {clock}.|Send a message to {name}.|Send {name} an email about the {thing}.|Text {name} that I will be late.
Open the {room} window.|Close the {thing}.|Add {food} to the shopping list.|Add {food} and {food} to my list.|Take me to the {thing}.|Navigate to {place}.
The meeting is at {clock}.|The meeting is at {clock} on {day}.|The meeting on {day} starts at {clock}.|The train leaves at {clock}.|My flight to {place} leaves at {clock}.
My phone number is {digits}.|The code is {digits}.|The room number is {num}.|The total is {num} dollars and {small} cents.|That costs {num} pounds.
It costs {num} dollars.|There are {num} {things} in the {thing}.|There are {num} {things}.|There is a {adj} {thing} {prep} the {thing}.|I have {num} {things}.
I was born in {year}.|He was born on {date}.|{name} was born in {place} in {year}.|The war ended in {year}.|In {year} we moved to {place}.|Today is {date}.
My birthday is on {date}.|The party is on {date}.|She is {small} years old.|I am {small} years old.|The {thing} is {num} {unit} long.|It is {num} {unit} away.
{big}|{big} and {big}|{digits}|{big} plus {big} equals {big}.|{big} times {big}|{small} percent of the {things}|{num} {unit}|chapter {small}|page {num}|number {small}
{num} point {digits}|the {ord} of {month}|{clock}|{date}|{day} {clock}|{ord}
I {modal} {going}.|I {modal} {going} {adv}.|{proall} {modal} {going}.|{proall} {modal} not {going} {adv}.|I want to {going}.|We want to {going} {adv}.
I need to {going}.|Do you want to {going}?|Would you like to {going}?|Let's {going}.|I am going to {going} {adv}.|We are going to {going}.|He is going to {going}.
I would like to {going}, please.|I'd like {food}, please.|Could I have {food} and {food}?|Can I have some more {food}?|I like {food}.|I don't like {food}.|Do you like {food}?
{proall} {past} {det} {thing}.|{proall} {past} {det} {adj} {thing}.|{proall} {past} {det} {thing} {adv}.|The {person} {past} {det} {thing}.|The {adj} {person} {past} {det} {thing} {adv}.
{name} {past} {det} {adj} {thing}.|{name} {past} {det} {thing} {prep} {det} {thing}.|The {person} and the {person} {past} {detp} {things}.|{poss} {person} {past} {detp} {adj} {things}.
I {neg} {verb} {det} {thing}.|{pro} {neg} {verb} {obj}.|{pro} {verb} {det} {thing}.|{pro} {verb} {detp} {things} {adv}.|{proall} {modal} {verb} {det} {thing}.|{proall} {modal} {verb} {obj} {adv}.
{wh} did {proall} {verb} {det} {thing}?|{wh} {do} you {verb} {detp} {things}?|{modal} you {verb} {obj} {det} {thing}?|{modal} you please {verb} {det} {thing}?|Did {name} {verb} {det} {thing}?
Please {verb} {det} {thing}.|Please {verb} {detp} {things}.|Please {going}.|Don't {verb} {det} {thing}.|Don't forget to {going}.|Where is {det} {thing}?|Where are {detp} {things}?
Where is {det} {adj} {thing}?|Who is {det} {person}?|Who {past} {det} {thing}?|What is {det} {thing} for?|How much is {det} {thing}?|How many {things} are there?|How many {things} do you have?
The {thing} is {adj}.|The {thing} is very {adj}.|The {things} are {adj}.|The {thing} is {prep} the {thing}.|{detp} {things} are {prep} the {thing}.|{det} {thing} was {adj} and {adj}.
{det} {person} is {adj}.|{det} {adj} {person} is {prep} the {thing}.|{he} is a {adj} {person}.|{he} was {adj} {adv}.|I am {adj}.|I am very {adj} {adv}.|We are {adj}.|They were {adj} and {adj}.|It is too {adj}.
{name} is {poss} {person}.|{name} and {name} are in {place}.|{name} lives in {place}.|I live in {place}.|They live near the {thing}.|We went to {place} {adv}.|I have never been to {place}.
Have you ever been to {place}?|Have you seen {det} {thing}?|I have lost {det} {thing}.|{he} has {num} {things}.|I think {det} {thing} is {adj}.|I know {det} {person}.|I hope you {verb} {det} {thing}.
If it is {weather}, we {modal} {going}.|When {he} {past} {det} {thing}, {he} was {adj}.|{det} {person} said that {det} {thing} was {adj}.|Because it was {weather}, we {past} {det} {thing}.|I {past} {det} {thing} before I {past} {det} {thing}.
{adj} {thing}|{det} {adj} {thing}|{det} {things}|{num} {adj} {things}|{verb} {obj}|{greet}|{name}|{going}|{adv}|{place}|{food}|{person}|{adj} and {adj}|{thing} and {thing}
""".replace("\n", "|").strip("|").split("|")


def fill(rng, template):
    """Replaces every {slot} of a template by a random word of its class."""
    out, rest = "", template
    while "{" in rest:
        head, rest = rest.split("{", 1)
        slot, rest = rest.split("}", 1)
        words = SLOTS[slot]
        out += head + (words(rng) if callable(words) else rng.choice(words))
    out = (out + rest).replace("~", " ")
    for vowel in "aeio":  # a apple -> an apple
        out = out.replace(f" a {vowel}", f" an {vowel}")
    return out[:1].upper() + out[1:]


def sentence(rng):
    return fill(rng, rng.choice(TEMPLATES))


FIXED = [s.strip() for s in """
Hello.|Hello world.|Hello there.|Hi.|Hey.|Yes.|No.|Okay.|Please.|Thank you.|Thanks a lot.|You're welcome.|Sorry.|I'm sorry.|Excuse me.|Good morning.|Good afternoon.|Good evening.|Good night.|Goodbye.|Bye.|See you later.|See you soon.|See you tomorrow.|Take care.|Welcome home.|How are you?|How are you today?|I'm fine, thank you.|I'm fine, thanks, and you?|Nice to meet you.|What's your name?|My name is John.|Where are you from?|How old are you?|What do you do?|What are you doing?|Where do you live?|What time is it?|What day is it today?|What's the date today?|What's the weather like?|How much is it?|How much does it cost?|Where is the bathroom?|Can you help me?|Help me, please.|I don't know.|I don't understand.|I understand.|Could you repeat that, please?|Please speak slowly.|Do you speak English?|I speak a little English.|That's right.|That's wrong.|Of course.|Maybe.|Never mind.|No problem.|Don't worry.|Be careful.|Come here.|Come in.|Sit down, please.|Stand up.|Let's go.|Hurry up.|Wait a minute.|Just a moment.|Stop.|Start.|Go.|Next.|Back.|Cancel.|Pause.|Play.|Open.|Close.|Save.|Delete.|Copy.|Paste.|Undo.|Enter.|Up.|Down.|Left.|Right.|On.|Off.|One.|Two.|Three.|Four.|Five.|Six.|Seven.|Eight.|Nine.|Ten.|Zero.|I love you.|I miss you.|Happy birthday.|Merry Christmas.|Happy new year.|Congratulations.|Good luck.|Have a nice day.|Have a good weekend.|Have fun.|Sleep well.|Get well soon.|Cheers.
The quick brown fox jumps over the lazy dog.|A quick brown fox jumped over the lazy dogs.|Pack my box with five dozen jugs.|How vexingly quick daft zebras jump.|She sells sea shells by the sea shore.|The rain in Spain stays mainly in the plain.|To be or not to be, that is the question.|All that glitters is not gold.|An apple a day keeps the doctor away.|The early bird catches the worm.|Better late than never.|Practice makes perfect.|Time is money.|Actions speak louder than words.|A picture is worth a thousand words.|When in Rome, do as the Romans do.|Two heads are better than one.|Where there is smoke there is fire.|Once upon a time there was a little girl.|It was the best of times, it was the worst of times.|In the beginning was the word.|Ask not what your country can do for you.|I have a dream.|We the people of the United States.|Four score and seven years ago.|One small step for man, one giant leap for mankind.|Houston, we have a problem.|May the force be with you.|This is a test.|This is only a test.|Testing, one two three.|This is a test of the speech recognition system.|This is a test of the emergency system.|Speech recognition is fun.|The speech recognizer turns sound into text.|Please transcribe this sentence.|Please say something.|Can you hear me now?|I can hear you.|Speak louder, please.|The computer understands what I say.|Artificial intelligence is changing the world.|Machine learning needs a lot of data.|The neural network was trained on speech.|Open source software is free.|The program is written in Rust.|The model runs on a small computer.|Please call me back.|Please call Stella.|Ask her to bring these things with her from the store.|Six spoons of fresh snow peas, five thick slabs of blue cheese, and maybe a snack for her brother Bob.|We also need a small plastic snake and a big toy frog for the kids.|She had your dark suit in greasy wash water all year.|Don't ask me to carry an oily rag like that.|The sun rises in the east and sets in the west.|There are seven days in a week.|There are sixty minutes in an hour.|Water boils at one hundred degrees.|The earth goes around the sun.|The moon is bright tonight.|It is raining outside.|It's raining cats and dogs.|It's cold outside, so wear a coat.|The cat is sleeping on the sofa.|The dog is barking at the mailman.|The children are playing in the garden.|The baby is crying.|She is reading a book.|He is cooking dinner.|They are watching television.|We are waiting for the bus.|I am listening to the radio.|I went to the store to buy some milk and eggs.|I have to go to work tomorrow.|I'm going to the doctor this afternoon.|I'd like a cup of coffee with milk and sugar.|I'd like to make a reservation for two people.|Could we have the bill, please?|Can I pay by credit card?|Where can I find a taxi?|How do I get to the airport?|Turn left at the traffic lights.|Turn right at the next corner.|Go straight on for two miles.|The station is on the other side of the street.|The next train to London leaves from platform nine.|Your flight has been delayed by three hours.|Please fasten your seat belt.|Please leave a message after the tone.|Press one for sales, press two for support.|Your call is important to us.|Thank you for calling.|I'll call you back later.|Can I speak to the manager, please?|I'm afraid she is not here right now.|Would you like to leave a message?|The meeting has been moved to Thursday afternoon.|We need to finish the report before Friday.|Let me know if you have any questions.|I look forward to hearing from you.|What would you like to drink?|What would you like for breakfast?|Dinner is ready.|The food was delicious.|I'm hungry.|I'm thirsty.|I'm tired.|I'm cold.|I feel sick.|I have a headache.|Call an ambulance.|Call the police.|Where is the nearest hospital?|I need a doctor.|I lost my passport.|My wallet was stolen.|What's your phone number?|What's your email address?|Can you give me a hand?|Can you do me a favor?|That's a good idea.|That sounds great.|I agree with you.|I disagree.|I think so too.|I don't think so.|It doesn't matter.|It's up to you.|It depends.|What do you think?|What does this word mean?|How do you spell your name?|Could you write it down?|Read the text aloud.|Open your books at page ten.|Listen and repeat.|Work in pairs.|Do your homework.|The lesson is over.
Computer, turn on the lights.|Turn off all the lights.|Turn on the television.|Turn up the heating.|Lock the front door.|Unlock the door.|Open the garage.|Start the washing machine.|Start recording.|Stop recording.|Play my favourite song.|Skip this song.|Volume up.|Volume down.|Louder.|Quieter.|Mute.|What's the news today?|Tell me a joke.|What's on my calendar today?|Add a new event to my calendar.|Create a new file.|Open the browser.|Search for a good restaurant near here.|Show me the way home.|Take a note.|Take a picture.|Read my messages.|Reply to the message.|Send it now.|Set the alarm for seven in the morning.|Set a timer for ten minutes.|How many calories are in an apple?|What is the capital of France?|Who wrote this book?|What is five times seven?|How tall is that mountain?|When is the next bus?|Is the shop open on Sunday?|Where did I park my car?
""".replace("\n", "|").split("|") if s.strip()]

HELD_OUT = [s.strip() for s in """
Could you tell me where the nearest bus stop is?|I left my umbrella on the train this morning.|We should meet for lunch next Tuesday.|The coffee in this place is really good.|My sister is learning to play the violin.|Please turn down the music, I am trying to sleep.|The new teacher seems very friendly.|There was a long queue at the post office.|He forgot to bring his glasses again.|Our neighbours are moving to Canada in the spring.
It took us three hours to climb the hill.|Do you know what time the museum opens?|I would rather stay at home and read tonight.|The shop on the corner sells fresh bread every morning.|She has been working here for almost ten years.|Can we talk about this after the weekend?|Nobody told me the meeting was cancelled.|The children built a castle out of sand.|Put the clean dishes back in the cupboard.|He drives to work because the bus is always late.
I can't find my keys anywhere.|The doctor told him to drink more water.|Somebody is knocking at the back door.|We had a wonderful time at the beach.|Is there anything good on television tonight?|The price of petrol went up again last month.|My grandmother makes the best apple pie.|They painted the fence white and the gate green.|I need a new battery for my watch.|The river was too deep to cross on foot.
Set a timer for twenty five minutes.|Turn off the light in the hallway.|Remind me to water the plants on Sunday.|Play some quiet music in the kitchen.|What will the weather be like on Saturday?|Send a message to my brother that dinner is ready.|Wake me up at half past six.|Add butter and two bottles of milk to the shopping list.|Call the dentist tomorrow at nine o'clock.|Open the window in the living room.
The train to Oxford leaves at ten forty five.|My telephone number is five five five three one eight two.|She was born on the twelfth of August nineteen eighty nine.|The ticket costs seventeen dollars and fifty cents.|There were about two hundred people at the wedding.|The office is on the fourth floor.|We need six chairs and two tables.|The bridge is three hundred and forty metres long.|He ran the race in eleven seconds.|Twenty seven plus sixteen equals forty three.
The wind blew the papers off the table.|I think we took the wrong road.|You should see a doctor about that cough.|The soup needs a little more salt.|It gets dark early in the winter.|They sat by the fire and told old stories.|Her phone rang in the middle of the film.|The dog ran after the ball and fell into the water.|I have never eaten anything so spicy.|The library closes at eight on weekdays.
He asked me a question I could not answer.|Would you mind closing the door?|The black cat is sitting on the roof.|We are out of sugar, so please buy some.|The baby slept through the whole night.|She put on her coat and walked out into the snow.|Everyone in the village knows that story.|I will send you the pictures as soon as I get home.|The old clock in the hall has stopped.|What did you do during the summer holidays?
Leave your shoes outside, please.|The bus driver was very kind to us.|He works in a small office near the station.|I hope the rain stops before the game.|The birds were singing in the trees.|Don't touch the stove, it is still hot.|We missed the last train and had to walk.|The teacher wrote the answer on the board.|My computer is too slow to run this program.|There is a hole in my left sock.
""".replace("\n", "|").split("|") if s.strip()]
