from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split

from tiltyard import Client

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X_train, X_held_out, y_train, y_held_out = train_test_split(X, y, random_state=0)
model = HistGradientBoostingClassifier(random_state=0).fit(X_train, y_train)

client = Client.from_env()
# Data and target are rows that the model was not fitted on: production is compared with them.
version = client.register("tumours", model, data=X_held_out, target=y_held_out, team="demo")
if version.stage != "champion":
    client.promote("tumours", version.version, reason="the first model")

for answer in client.predict("tumours", X_held_out.head(3)):
    print(answer.value, round(answer.score, 3), "by version", answer.version)
