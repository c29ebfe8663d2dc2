"""What people say that no document answers: written by hand.

The other side of the need head; titles and questions are the one. There is
no corpus of such talk on a machine without a network, so the figures for this
head are those of a short list.
"""

from __future__ import annotations

UTTERANCES = """\
Hello!
Hi there
Good morning
Good evening, how are you?
How are you doing today?
Hey, what's up?
Thanks a lot!
Thank you very much for your help
That was great, thanks
You are welcome
Goodbye
See you tomorrow
Have a nice weekend
Nice to meet you
What is your name?
Who are you?
Are you a robot?
How old are you?
Do you like music?
What is your favourite colour?
Do you have feelings?
Tell me a joke
Make me laugh
Write a poem about the sea
Write a haiku about autumn
Compose a short song about my cat
Tell me a story about a dragon
Write a birthday card for my mother
Invent a name for my new band
Suggest a present for a friend
What should I have for dinner?
Recommend a film for tonight
I am bored
I feel sad today
I am so tired of this
I love you
You are stupid
That is wrong
No, I do not think so
Yes, please
Okay
Sure, go ahead
Please continue
Say that again
Repeat your last answer
Make it shorter
Say it in simpler words
Summarise what you just said
Translate that into French
Translate "good night" into Spanish
What is two plus two?
What is 17 times 23?
Compute 144 divided by 12
Add 5 and 9
What day is it today?
What time is it?
How is the weather?
Will it rain tomorrow?
Who will win the match?
What do you think about politics?
Is it right to lie?
What is the meaning of life?
Give me a compliment
Count to ten
Spell the word necessary
Rhyme with orange
Flip a coin
Roll a die
Pick a number between one and ten
Let us play a game
Can you keep a secret?
Sing me a lullaby
Wish me luck
I have an exam tomorrow
My dog is ill
Guess what happened to me today
Never mind
Forget it
Stop
Wait a moment
Sorry, I did not mean that
Could you help me?
Can I ask you something?
Are you there?
What can you do?
Pretend to be a pirate
Act as my grandmother
Speak like Shakespeare
Congratulations!
Happy new year
Well done
I do not understand you
You already said that
Do you remember me?
Where do you live?
Let me think about it
Good night and sleep well
""".splitlines()
